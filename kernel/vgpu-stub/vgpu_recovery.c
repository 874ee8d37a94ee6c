// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: resets, PCI errors, suspend, and devices that have lost their way
 */

#include <linux/delay.h>
#include <linux/pm.h>

#include "vgpu_device.h"
#include "vgpu_hw.h"
#include "vgpu_queue.h"

/* How often, and how long after another, a reset is tried; arbitrary. */
#define VGPU_RESET_TRIES 10
#define VGPU_RESET_MS 200

static void vgpu_recovery_stop(struct vgpu_device *dev)
{
	down_write(&dev->base.access);
	vgpu_device_stop(dev, -ECANCELED, false);
	up_write(&dev->base.access);
}

static int vgpu_recovery_start(struct vgpu_device *dev)
{
	int ret = 0;

	down_write(&dev->base.access);
	if (dev->base.gone)
		ret = -ENODEV;
	else if (!dev->running)
		ret = vgpu_device_start(dev);
	up_write(&dev->base.access);
	if (ret)
		dev_err(&dev->base.dev, "the device does not start (%d)\n",
			ret);
	return ret;
}

/* Stops and starts the ring; the device's lock is not needed for that. */
static void vgpu_recover_ring(struct vgpu_device *dev)
{
	down_write(&dev->base.access);
	if (!dev->base.gone && dev->running) {
		vgpu_device_stop(dev, -ECANCELED, false);
		vgpu_device_start(dev);
	}
	up_write(&dev->base.access);
}

/* Its bus may be resetting it right now, or somebody unbinds us. */
static void vgpu_recover_registers(struct vgpu_device *dev)
{
	int i;

	for (i = 0; i < VGPU_RESET_TRIES && !READ_ONCE(dev->removing); i++) {
		if (pci_try_reset_function(dev->pdev) != -EAGAIN)
			return;
		msleep(VGPU_RESET_MS);
	}
}

/**
 * vgpu_recover() - restart a device whose ring was halted, or that hangs
 * @work: of the device
 */
void vgpu_recover(struct work_struct *work)
{
	struct vgpu_device *dev = container_of(work, struct vgpu_device,
					       recover);
	struct vgpu_counters *counters = &dev->queue.counters;
	const bool ring = dev->mode == VGPU_MODE_RING;

	/* Removal waits for this work before it lets go of the device. */
	if (READ_ONCE(dev->removing) || !READ_ONCE(dev->running) ||
	    !vgpu_hw_answers(dev))
		return;
	if (!vgpu_queue_is_stuck(dev) &&
	    (!ring ||
	     vgpu_read(dev, VGPU_STUB_RING_STATUS) == VGPU_RING_RUNNING))
		return;
	WRITE_ONCE(counters->restarts, counters->restarts + 1);
	dev_warn_ratelimited(&dev->base.dev,
			     "restarting the device; requests that it has are cancelled\n");
	if (ring)
		vgpu_recover_ring(dev);
	else
		vgpu_recover_registers(dev);
}

static void vgpu_reset_prepare(struct pci_dev *pdev)
{
	vgpu_recovery_stop(pci_get_drvdata(pdev));
}

static void vgpu_reset_done(struct pci_dev *pdev)
{
	vgpu_recovery_start(pci_get_drvdata(pdev));
}

static pci_ers_result_t vgpu_error_detected(struct pci_dev *pdev,
					    pci_channel_state_t state)
{
	struct vgpu_device *dev = pci_get_drvdata(pdev);

	dev_warn(&pdev->dev, "PCI error, the channel is %s\n",
		 state == pci_channel_io_normal ? "normal" : "cut off");
	/* Blind where nothing can be read: it reads all ones then. */
	pci_clear_master(pdev);
	vgpu_recovery_stop(dev);
	if (state == pci_channel_io_perm_failure)
		return PCI_ERS_RESULT_DISCONNECT;
	return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t vgpu_slot_reset(struct pci_dev *pdev)
{
	struct vgpu_device *dev = pci_get_drvdata(pdev);

	pci_restore_state(pdev);
	/* Restoring used the saved state up. */
	pci_save_state(pdev);
	pci_set_master(pdev);
	return vgpu_hw_answers(dev) ? PCI_ERS_RESULT_RECOVERED :
				      PCI_ERS_RESULT_DISCONNECT;
}

static void vgpu_resume_io(struct pci_dev *pdev)
{
	vgpu_recovery_start(pci_get_drvdata(pdev));
}

/* For the driver structure. */
const struct pci_error_handlers vgpu_err_handler = {
	.error_detected = vgpu_error_detected,
	.slot_reset = vgpu_slot_reset,
	.resume = vgpu_resume_io,
	.reset_prepare = vgpu_reset_prepare,
	.reset_done = vgpu_reset_done,
};

/* The PCI core saves the configuration and changes the power state. */
static int __maybe_unused vgpu_suspend(struct device *device)
{
	vgpu_recovery_stop(dev_get_drvdata(device));
	return 0;
}

static int __maybe_unused vgpu_resume(struct device *device)
{
	return vgpu_recovery_start(dev_get_drvdata(device));
}

/* For the driver structure: also for hibernation. */
const struct dev_pm_ops vgpu_pm_ops = {
	SET_SYSTEM_SLEEP_PM_OPS(vgpu_suspend, vgpu_resume)
};
