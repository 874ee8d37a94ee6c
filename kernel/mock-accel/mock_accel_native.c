// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: native SR-IOV
 */

/**
 * DOC: virtual functions of the PCI core
 *
 * The PCI core's sriov_numvfs, in the folder of the PCI function, and the one
 * of the class device do the same: both come here with the device lock held,
 * and both show pci_num_vf(). A VF is probed like any function, finds its PF
 * and gets a node; VF_INDEX says which.
 *
 * Disabling is refused while a VF is open. The check and the removal of the
 * nodes are one step under mock_accel_lock, so that no VF can be opened between
 * the check and the moment when the PCI core takes it away.
 */

#include <linux/delay.h>
#include <linux/sched/signal.h>

#include "mock_accel_native.h"
#include "mock_accel_sriov.h"

/* How long to wait before another try for the device lock; arbitrary. */
#define MOCK_ACCEL_RETRY_MS 5

static int mock_accel_native_disable(struct pci_dev *pdev,
				     struct mock_accel_function *pf)
{
	int ret;

	if (pci_vfs_assigned(pdev)) {
		dev_warn(&pdev->dev, "VFs belong to virtual machines\n");
		return -EPERM;
	}
	ret = mock_accel_sriov_hide_closed_vfs(pf);
	if (ret)
		return ret;
	pci_disable_sriov(pdev);
	return 0;
}

/**
 * mock_accel_sriov_configure() - enable or disable native VFs
 * @pdev: a PF
 * @num_vfs: how many; 0 disables them
 *
 * The caller has compared with the total and with what is enabled.
 *
 * Context: may sleep; the device lock is held; takes mock_accel_lock.
 * Return: @num_vfs; -EBUSY if a VF is open; -EPERM if one is assigned to a
 * virtual machine; what the PCI core says.
 */
int mock_accel_sriov_configure(struct pci_dev *pdev, int num_vfs)
{
	struct mock_accel_function *pf = pci_get_drvdata(pdev);
	int ret;

	if (READ_ONCE(pf->blocked))
		return -EAGAIN;
	ret = num_vfs ? pci_enable_sriov(pdev, num_vfs) :
			mock_accel_native_disable(pdev, pf);
	return ret ? ret : num_vfs;
}

/**
 * mock_accel_native_set_num_vfs() - what sriov_numvfs of the class device does
 * @pf: a native PF, visible
 * @num_vfs: from user space
 *
 * Only tries to get the device lock: who holds it may be waiting, to remove the
 * class device, for this very write to end.
 *
 * Context: a write to an attribute of @pf's class device.
 * Return: 0; -ERANGE above the total; -EBUSY as the PCI core; that of
 * mock_accel_sriov_configure().
 */
int mock_accel_native_set_num_vfs(struct mock_accel_function *pf, u32 num_vfs)
{
	struct pci_dev *pdev = pf->pdev;
	int ret;

	if (num_vfs > pci_sriov_get_totalvfs(pdev))
		return -ERANGE;
	if (!device_trylock(&pdev->dev)) {
		msleep(MOCK_ACCEL_RETRY_MS);
		return restart_syscall();
	}
	if (num_vfs == pci_num_vf(pdev))
		ret = 0;
	else if (num_vfs && pci_num_vf(pdev))
		ret = -EBUSY;
	else
		ret = mock_accel_sriov_configure(pdev, num_vfs);
	device_unlock(&pdev->dev);
	return ret < 0 ? ret : 0;
}
