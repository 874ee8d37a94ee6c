// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: interrupts
 */

/**
 * DOC: vectors and who is woken
 *
 * MSI-X vector 0 says that STATUS changed, vector 1 + i that ring i completed
 * something. A device with fewer vectors than that works: what has none is
 * looked at from time to time.
 *
 * Behind an Intel VMD the functions of a domain share the vectors of the VMD
 * endpoint, and an interrupt of one calls the handlers of others. Handlers then
 * look whether there is something to tell. They always claim the interrupt:
 * calls for nothing are the rule there, and must not make the kernel believe
 * that nobody cares and disable the line.
 */

#include <linux/interrupt.h>

#include "mock_accel_file.h"
#include "mock_accel_hw.h"
#include "mock_accel_irq.h"

/* ACPI's PCI domains have 16 bits; the vmd driver numbers its own above. */
#define MOCK_ACCEL_MAX_ACPI_DOMAIN 0xffff

/*
 * Does STATUS differ from what it was the last time? A read is slow, so only
 * if somebody could be waiting; else it counts as a change.
 */
static bool mock_accel_status_moved(struct mock_accel_function *func)
{
	u32 status;
	bool open;

	spin_lock(&func->node_lock);
	open = func->node && READ_ONCE(func->node->base.open_count);
	spin_unlock(&func->node_lock);
	if (!open)
		return true;
	status = readl(func->regs + MOCK_ACCEL_STATUS);
	if (status == func->last_status)
		return false;
	/* A device that is gone did not change its status; its end comes soon. */
	if (status == U32_MAX &&
	    readl(func->regs + MOCK_ACCEL_DEVICE_ID) == U32_MAX)
		return false;
	func->last_status = status;
	return true;
}

static irqreturn_t mock_accel_status_interrupt(int irq, void *data)
{
	struct mock_accel_function *func = data;

	if (!func->shared_vectors || mock_accel_status_moved(func))
		mock_accel_status_changed(func);
	return IRQ_HANDLED;
}

static irqreturn_t mock_accel_ring_interrupt(int irq, void *data)
{
	struct mock_accel_ring *ring = data;
	struct mock_accel_queue *queue;

	spin_lock(&ring->func->node_lock);
	queue = ring->queue;
	if (queue && (!ring->func->shared_vectors ||
		      mock_accel_progress_has_work(&queue->progress))) {
		atomic_inc(&queue->file->events);
		wake_up_all(&queue->file->waitq);
	}
	spin_unlock(&ring->func->node_lock);
	return IRQ_HANDLED;
}

static void mock_accel_free_vectors(void *data)
{
	pci_free_irq_vectors(data);
}

static int mock_accel_setup_ring_irq(struct mock_accel_function *func, u32 i)
{
	struct device *dev = &func->pdev->dev;
	const char *name;
	int ret;

	name = devm_kasprintf(dev, GFP_KERNEL, "%s-ring%u",
			      pci_name(func->pdev), i);
	if (!name)
		return -ENOMEM;
	ret = devm_request_irq(dev, pci_irq_vector(func->pdev, 1 + i),
			       mock_accel_ring_interrupt, 0, name,
			       &func->rings[i]);
	if (ret)
		return dev_err_probe(dev, ret,
				     "Cannot request the interrupt of ring %u\n",
				     i);
	func->rings[i].has_irq = true;
	return 0;
}

/**
 * mock_accel_setup_irqs() - request what interrupts the function has
 * @func: the function, identified
 *
 * The device is usable without an interrupt, so having no vector is no error.
 *
 * Context: probe; may sleep.
 * Return: 0 or a negative errno.
 */
int mock_accel_setup_irqs(struct mock_accel_function *func)
{
	struct pci_dev *pdev = func->pdev;
	int vectors, ret;
	u32 i;

	func->shared_vectors =
		pci_domain_nr(pdev->bus) > MOCK_ACCEL_MAX_ACPI_DOMAIN;
	vectors = pci_alloc_irq_vectors(pdev, 1, 1 + func->ring_count,
					PCI_IRQ_MSIX);
	if (vectors < 0) {
		dev_info(&pdev->dev,
			 "No MSI-X vector (%d): status changes cannot be waited for\n",
			 vectors);
		return 0;
	}
	ret = devm_add_action_or_reset(&pdev->dev, mock_accel_free_vectors,
				       pdev);
	if (ret)
		return ret;
	ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0),
			       mock_accel_status_interrupt, 0, pci_name(pdev),
			       func);
	if (ret)
		return dev_err_probe(&pdev->dev, ret,
				     "Cannot request the interrupt\n");
	func->has_irq = true;
	for (i = 0; i + 1 < vectors; i++) {
		ret = mock_accel_setup_ring_irq(func, i);
		if (ret)
			return ret;
	}
	return 0;
}
