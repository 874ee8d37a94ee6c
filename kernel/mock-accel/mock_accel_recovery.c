// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: resets, PCI errors, suspend and resume
 */

/**
 * DOC: blocking a function and letting it go again
 *
 * Whatever takes the device from us for a while works alike: block it, that is,
 * stop its rings, complete what was in flight with ABORTED and turn new users
 * away with -EAGAIN; restore; let it go. Queues and buffers of open files stay,
 * and the rings start again when they are used.
 *
 * A function has a set of reasons to be blocked and is usable when there is
 * none. The reason "PF" is for native VFs, whose state a reset of the PF
 * clears: the PF blocks them, saves and restores their configuration (the PCI
 * core restores the VFs' existence only), and lets them go. Whether a VF is
 * also told by the PCI core of the same event does not matter.
 *
 * A function that does not come back stays blocked. A later reset that succeeds
 * takes all reasons away.
 */

#include <linux/pm.h>

#include "mock_accel_compat.h"
#include "mock_accel_hw.h"
#include "mock_accel_node.h"
#include "mock_accel_queue.h"
#include "mock_accel_recovery.h"
#include "mock_accel_sriov.h"

static void mock_accel_block(struct mock_accel_function *func,
			     enum mock_accel_blocked why,
			     enum mock_accel_stop how)
{
	lockdep_assert_held(&mock_accel_lock);
	if (func->node)
		down_write(&func->node->base.access);
	/* Rings that are stopped already are not touched. */
	if (func->node)
		mock_accel_files_stop(func->node, how);
	set_bit(why, &func->blocked);
	if (func->node) {
		up_write(&func->node->base.access);
		wake_up_all(&func->node->base.waitq);
	}
}

static void mock_accel_unblock(struct mock_accel_function *func,
			       enum mock_accel_blocked why)
{
	lockdep_assert_held(&mock_accel_lock);
	clear_bit(why, &func->blocked);
	/* STATUS may have changed, and who was turned away may try again. */
	mock_accel_status_changed(func);
}

static void mock_accel_block_vf(struct mock_accel_function *vf, void *data)
{
	const enum mock_accel_stop *how = data;

	if (test_bit(MOCK_ACCEL_BLOCKED_PF, &vf->blocked))
		return;
	mock_accel_block(vf, MOCK_ACCEL_BLOCKED_PF, *how);
	if (*how == MOCK_ACCEL_STOP_AND_READ)
		pci_save_state(vf->pdev);
}

static void mock_accel_restore_vf(struct mock_accel_function *vf, void *data)
{
	pci_restore_state(vf->pdev);
	/* Restoring used the saved state up. */
	pci_save_state(vf->pdev);
}

static void mock_accel_unblock_vf(struct mock_accel_function *vf, void *data)
{
	if (!mock_accel_is_present(vf)) {
		dev_warn(&vf->pdev->dev, "Not there after its PF's reset\n");
		return;
	}
	mock_accel_unblock(vf, MOCK_ACCEL_BLOCKED_PF);
}

static void mock_accel_kill_vf(struct mock_accel_function *vf, void *data)
{
	set_bit(MOCK_ACCEL_BLOCKED_DEAD, &vf->blocked);
}

/* Blocks a function, and the native VFs that depend on it. */
static void mock_accel_block_all(struct mock_accel_function *func,
				 enum mock_accel_blocked why,
				 enum mock_accel_stop how)
{
	mutex_lock(&mock_accel_lock);
	mock_accel_for_each_native_vf(func, mock_accel_block_vf, &how);
	mock_accel_block(func, why, how);
	mutex_unlock(&mock_accel_lock);
}

/* The opposite, once the function answers. */
static void mock_accel_unblock_all(struct mock_accel_function *func,
				   enum mock_accel_blocked why)
{
	mutex_lock(&mock_accel_lock);
	mock_accel_sriov_reset_done(func);
	mock_accel_unblock(func, why);
	mock_accel_for_each_native_vf(func, mock_accel_unblock_vf, NULL);
	mutex_unlock(&mock_accel_lock);
}

static void mock_accel_restore_vfs(struct mock_accel_function *func)
{
	mutex_lock(&mock_accel_lock);
	mock_accel_for_each_native_vf(func, mock_accel_restore_vf, NULL);
	mutex_unlock(&mock_accel_lock);
}

static void mock_accel_reset_prepare(struct pci_dev *pdev)
{
	mock_accel_block_all(pci_get_drvdata(pdev), MOCK_ACCEL_BLOCKED_RESET,
			     MOCK_ACCEL_STOP_AND_READ);
}

/* A function level reset clears STATUS and NUM_VFS without an interrupt. */
static void mock_accel_reset_done(struct pci_dev *pdev)
{
	struct mock_accel_function *func = pci_get_drvdata(pdev);

	if (!mock_accel_is_present(func)) {
		dev_warn(&pdev->dev, "Not there after a reset\n");
		return;
	}
	mock_accel_restore_vfs(func);
	/* A reset mends also what error recovery could not. */
	if (test_and_clear_bit(MOCK_ACCEL_BLOCKED_DEAD, &func->blocked))
		pci_set_master(pdev);
	clear_bit(MOCK_ACCEL_BLOCKED_ERROR, &func->blocked);
	mock_accel_unblock_all(func, MOCK_ACCEL_BLOCKED_RESET);
}

static const char *mock_accel_channel_name(pci_channel_state_t state)
{
	switch (state) {
	case pci_channel_io_normal:
		return "normal";
	case pci_channel_io_frozen:
		return "frozen";
	default:
		return "failed";
	}
}

static pci_ers_result_t mock_accel_error_detected(struct pci_dev *pdev,
						  pci_channel_state_t state)
{
	struct mock_accel_function *func = pci_get_drvdata(pdev);

	dev_warn(&pdev->dev, "error detected, channel %s\n",
		 mock_accel_channel_name(state));
	if (state == pci_channel_io_normal) {
		mock_accel_block_all(func, MOCK_ACCEL_BLOCKED_ERROR,
				     MOCK_ACCEL_STOP_AND_READ);
		return PCI_ERS_RESULT_CAN_RECOVER;
	}
	/* Nothing can be read now. A write and this stop all DMA. */
	mock_accel_block_all(func, MOCK_ACCEL_BLOCKED_ERROR,
			     MOCK_ACCEL_STOP_BLIND);
	pci_clear_master(pdev);
	if (state == pci_channel_io_frozen)
		return PCI_ERS_RESULT_NEED_RESET;

	set_bit(MOCK_ACCEL_BLOCKED_DEAD, &func->blocked);
	mutex_lock(&mock_accel_lock);
	mock_accel_for_each_native_vf(func, mock_accel_kill_vf, NULL);
	mutex_unlock(&mock_accel_lock);
	return PCI_ERS_RESULT_DISCONNECT;
}

/* Not fatal: the link is there, and registers tell whether the device is. */
static pci_ers_result_t mock_accel_mmio_enabled(struct pci_dev *pdev)
{
	if (mock_accel_is_present(pci_get_drvdata(pdev)))
		return PCI_ERS_RESULT_RECOVERED;
	return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t mock_accel_slot_reset(struct pci_dev *pdev)
{
	struct mock_accel_function *func = pci_get_drvdata(pdev);

	pci_restore_state(pdev);
	/* Restoring used the saved state up. */
	pci_save_state(pdev);
	pci_set_master(pdev);
	if (!mock_accel_is_present(func)) {
		dev_err(&pdev->dev, "slot reset, but the device is not there\n");
		return PCI_ERS_RESULT_DISCONNECT;
	}
	mock_accel_restore_vfs(func);
	dev_info(&pdev->dev, "slot reset\n");
	return PCI_ERS_RESULT_RECOVERED;
}

static void mock_accel_resume_io(struct pci_dev *pdev)
{
	mock_accel_unblock_all(pci_get_drvdata(pdev), MOCK_ACCEL_BLOCKED_ERROR);
	dev_info(&pdev->dev, "resumed\n");
}

#ifdef MOCK_ACCEL_HAS_COR_ERROR_DETECTED
static void mock_accel_cor_error_detected(struct pci_dev *pdev)
{
	dev_info_ratelimited(&pdev->dev, "corrected error\n");
}
#endif

/* For the driver structure. */
const struct pci_error_handlers mock_accel_err_handler = {
	.error_detected = mock_accel_error_detected,
	.mmio_enabled = mock_accel_mmio_enabled,
	.slot_reset = mock_accel_slot_reset,
	.resume = mock_accel_resume_io,
	.reset_prepare = mock_accel_reset_prepare,
	.reset_done = mock_accel_reset_done,
#ifdef MOCK_ACCEL_HAS_COR_ERROR_DETECTED
	.cor_error_detected = mock_accel_cor_error_detected,
#endif
};

/* The PCI core saves the configuration and changes the power state. */
static int __maybe_unused mock_accel_suspend(struct device *dev)
{
	struct mock_accel_function *func = dev_get_drvdata(dev);

	mutex_lock(&mock_accel_lock);
	mock_accel_block(func, MOCK_ACCEL_BLOCKED_SUSPEND,
			 MOCK_ACCEL_STOP_AND_READ);
	mutex_unlock(&mock_accel_lock);
	return 0;
}

static int __maybe_unused mock_accel_resume(struct device *dev)
{
	struct mock_accel_function *func = dev_get_drvdata(dev);

	if (!mock_accel_is_present(func)) {
		dev_warn(dev, "Not there after a suspend\n");
		return -ENODEV;
	}
	mutex_lock(&mock_accel_lock);
	mock_accel_sriov_reset_done(func);
	mock_accel_unblock(func, MOCK_ACCEL_BLOCKED_SUSPEND);
	mutex_unlock(&mock_accel_lock);
	return 0;
}

/* For the driver structure: also for hibernation. */
const struct dev_pm_ops mock_accel_pm_ops = {
	SET_SYSTEM_SLEEP_PM_OPS(mock_accel_suspend, mock_accel_resume)
};
