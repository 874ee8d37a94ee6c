// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: the driver of our functions
 */

/**
 * DOC: the driver
 *
 * It is called like NVIDIA's, because that is what discovery looks at, and it
 * asks for the same devices; but it refuses each that is not on a bus of ours,
 * so a real GPU is left alone. If the real driver is loaded, ours cannot have
 * its name and the module says so.
 */

#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "fsv.h"

/* IDs beyond NVIDIA's that fsv_driver_learn() gave to the driver. */
struct fsv_learned {
	struct list_head list;
	u16 vendor;
	u16 device;
};

static LIST_HEAD(fsv_learned); /* guarded by fsv_lock */

/* Flat functions are VFs to whoever looks, though the core cannot know. */
static void fsv_link_physfn(struct pci_dev *pdev, struct fsv_function *function)
{
	struct pci_dev *pf = NULL;

	while ((pf = pci_get_device(PCI_ANY_ID, PCI_ANY_ID, pf)))
		if (pf->bus == pdev->bus && pf->is_physfn)
			break;
	if (!pf)
		return;
	if (sysfs_create_link(&pdev->dev.kobj, &pf->dev.kobj, "physfn"))
		fsv_complain("%s: no link physfn", pci_name(pdev));
	pci_dev_put(pf);
}

static int fsv_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct fsv_function *function = fsv_function_of(pdev);
	int ret;

	if (!function || !function->managed)
		return -ENODEV;
	ret = pci_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_drvdata(pdev, function);
	if (!function->pf && !function->is_flat)
		return 0;
	ret = sysfs_create_group(&pdev->dev.kobj, &fsv_vgpu_group);
	if (ret) {
		pci_disable_device(pdev);
		return ret;
	}
	if (function->is_flat)
		fsv_link_physfn(pdev, function);
	kobject_uevent(&pdev->dev.kobj, KOBJ_CHANGE);
	return 0;
}

static void fsv_remove(struct pci_dev *pdev)
{
	struct fsv_function *function = pci_get_drvdata(pdev);

	if (pdev->is_physfn)
		pci_disable_sriov(pdev);
	if (function->is_flat)
		sysfs_remove_link(&pdev->dev.kobj, "physfn");
	if (function->pf || function->is_flat)
		sysfs_remove_group(&pdev->dev.kobj, &fsv_vgpu_group);
	pci_disable_device(pdev);
}

/* The core has checked the number, and that VFs are not enabled already. */
static int fsv_sriov_configure(struct pci_dev *pdev, int num_vfs)
{
	int ret;

	if (!num_vfs) {
		pci_disable_sriov(pdev);
		return 0;
	}
	ret = pci_enable_sriov(pdev, num_vfs);
	return ret ? ret : num_vfs;
}

static const struct pci_device_id fsv_ids[] = {
	{ PCI_DEVICE(FSV_NVIDIA, PCI_ANY_ID) }, {}
};

static struct pci_driver fsv_driver = {
	.id_table = fsv_ids,
	.probe = fsv_probe,
	.remove = fsv_remove,
	.sriov_configure = fsv_sriov_configure,
};

/**
 * fsv_driver_knows() - does the driver ask for such devices?
 * @vendor: of the device
 * @device: its ID
 *
 * Context: holds fsv_lock.
 * Return: true if fsv_driver_learn() need not be called.
 */
bool fsv_driver_knows(u16 vendor, u16 device)
{
	const struct fsv_learned *learned;

	lockdep_assert_held(&fsv_lock);
	if (vendor == FSV_NVIDIA)
		return true;
	list_for_each_entry(learned, &fsv_learned, list)
		if (learned->vendor == vendor && learned->device == device)
			return true;
	return false;
}

/**
 * fsv_driver_learn() - let the driver ask for devices of another vendor
 * @vendor: of the device
 * @device: its ID
 *
 * To learn the same twice does no harm.
 *
 * Context: may sleep, as long as somebody else unbinds such a device; does not
 * hold fsv_lock.
 * Return: 0 or -ENOMEM.
 */
int fsv_driver_learn(u16 vendor, u16 device)
{
	struct fsv_learned *learned;
	int ret;

	learned = kmalloc(sizeof(*learned), GFP_KERNEL);
	if (!learned)
		return -ENOMEM;
	ret = pci_add_dynid(&fsv_driver, vendor, device, PCI_ANY_ID, PCI_ANY_ID,
			    0, 0, 0);
	if (ret) {
		kfree(learned);
		return ret;
	}
	learned->vendor = vendor;
	learned->device = device;
	mutex_lock(&fsv_lock);
	list_add(&learned->list, &fsv_learned);
	mutex_unlock(&fsv_lock);
	return 0;
}

/**
 * fsv_driver_init() - register the driver under fsv_driver_name
 *
 * Return: 0; -EBUSY if another driver has that name; other errnos.
 */
int fsv_driver_init(void)
{
	int ret;

	fsv_driver.name = fsv_driver_name;
	/* Groups of ours may have no domain. */
	fsv_set_no_dma(&fsv_driver);
	ret = pci_register_driver(&fsv_driver);
	if (ret == -EBUSY)
		pr_err(FSV_NAME
		       ": there is a driver '%s' already, load with driver_name=OTHER\n",
		       fsv_driver_name);
	return ret;
}

/**
 * fsv_driver_exit() - undo fsv_driver_init()
 */
void fsv_driver_exit(void)
{
	struct fsv_learned *learned, *next;

	pci_unregister_driver(&fsv_driver);
	list_for_each_entry_safe(learned, next, &fsv_learned, list) {
		list_del(&learned->list);
		kfree(learned);
	}
}
