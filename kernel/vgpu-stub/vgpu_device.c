// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: start and stop of a device
 */

/**
 * DOC: running and not
 *
 * A device runs from probe to removal, but for the time of a suspend or a
 * reset. Whoever gives calls to the queue holds the node's @access for reading
 * and looks at @running; who starts or stops holds it for writing.
 *
 * What the device has at a stop ends with -ENODEV (removal) or -ECANCELED
 * (suspend, reset). It is not sent again: whether it was carried out is not
 * known. What was not sent yet waits.
 */

#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "vgpu_device.h"
#include "vgpu_hw.h"
#include "vgpu_queue.h"

/**
 * vgpu_device_new() - make a device that is stopped
 * @pdev: enabled
 * @regs: BAR0
 *
 * Return: the device; its node is not initialised yet; NULL without memory.
 */
struct vgpu_device *vgpu_device_new(struct pci_dev *pdev, void __iomem *regs)
{
	struct vgpu_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return NULL;
	dev->pdev = pdev;
	dev->regs = regs;
	spin_lock_init(&dev->buffers_lock);
	INIT_LIST_HEAD(&dev->buffers);
	INIT_WORK(&dev->recover, vgpu_recover);
	vgpu_hw_init(dev);
	vgpu_queue_init(dev);
	return dev;
}

/**
 * vgpu_device_free() - nobody has the device any more
 * @dev: released
 */
void vgpu_device_free(struct vgpu_device *dev)
{
	kfree(dev);
}

static size_t vgpu_device_ring_bytes(const struct vgpu_device *dev)
{
	return dev->ring_entries * (sizeof(struct vgpu_ring_entry) +
				    sizeof(struct vgpu_ring_completion));
}

/**
 * vgpu_device_prepare() - get memory and interrupts
 * @dev: identified, named
 *
 * Return: 0 or a negative errno.
 */
int vgpu_device_prepare(struct vgpu_device *dev)
{
	int ret;

	if (dev->mode == VGPU_MODE_RING) {
		dev->rings = dma_alloc_coherent(&dev->pdev->dev,
						vgpu_device_ring_bytes(dev),
						&dev->rings_dma, GFP_KERNEL);
		if (!dev->rings)
			return -ENOMEM;
	}
	ret = vgpu_hw_request_irqs(dev);
	if (ret)
		vgpu_device_release(dev);
	return ret;
}

/**
 * vgpu_device_release() - undo vgpu_device_prepare()
 * @dev: stopped
 */
void vgpu_device_release(struct vgpu_device *dev)
{
	vgpu_hw_free_irqs(dev);
	if (dev->rings)
		dma_free_coherent(&dev->pdev->dev, vgpu_device_ring_bytes(dev),
				  dev->rings, dev->rings_dma);
	dev->rings = NULL;
}

/**
 * vgpu_device_start() - let the device run
 * @dev: stopped
 *
 * Context: may sleep; the node's access is held for writing, or nobody sees the
 * node.
 * Return: 0 or a negative errno; then it stays stopped, and who submits is told.
 */
int vgpu_device_start(struct vgpu_device *dev)
{
	int ret = vgpu_hw_start(dev);

	WRITE_ONCE(dev->failed, ret);
	WRITE_ONCE(dev->running, !ret);
	/* Those who have waited. */
	wake_up_all(&dev->base.waitq);
	return ret;
}

/*
 * Only a reset makes a device forget a request that it was given by registers,
 * and its memory is about to be used for something else.
 */
static void vgpu_device_forget(struct vgpu_device *dev)
{
	struct pci_dev *pdev = dev->pdev;

	pci_save_state(pdev);
	if (__pci_reset_function_locked(pdev))
		dev_warn(&pdev->dev, "does not reset; a late answer may still be written\n");
	pci_restore_state(pdev);
}

/**
 * vgpu_device_stop() - end all use of the device
 * @dev: running or stopped
 * @error: that calls end with that it has
 * @all: also those that wait
 *
 * Context: may sleep; as vgpu_device_start(); the lock of the PCI device is held
 * if the device has its requests in memory, but no ring.
 */
void vgpu_device_stop(struct vgpu_device *dev, int error, bool all)
{
	bool busy;

	if (dev->running) {
		WRITE_ONCE(dev->running, false);
		busy = vgpu_queue_stop(dev);
		if (vgpu_hw_answers(dev)) {
			vgpu_hw_stop_ring(dev);
			if (busy && dev->mode == VGPU_MODE_DMA)
				vgpu_device_forget(dev);
		}
		vgpu_hw_quiesce(dev);
	}
	vgpu_queue_cancel(dev, error, all);
}

/**
 * vgpu_device_disconnect() - the device goes away
 * @node: of the device; its files may be open
 *
 * Context: may sleep; the node's access is held for writing.
 */
void vgpu_device_disconnect(struct mimic_node *node)
{
	struct vgpu_device *dev = container_of(node, struct vgpu_device, base);

	vgpu_device_stop(dev, -ENODEV, true);
	vgpu_buffers_unmap(dev);
	vgpu_device_release(dev);
	/* Nothing may reach memory that is not ours any more. */
	pci_clear_master(dev->pdev);
	WRITE_ONCE(dev->pdev, NULL);
	dev->regs = NULL;
}
