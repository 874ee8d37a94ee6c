// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: registers, rings in memory, interrupts
 */

#include <linux/atomic.h>
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/string.h>

#include "vgpu_compat.h"
#include "vgpu_hw.h"
#include "vgpu_queue.h"

static unsigned int ring_entries = VGPU_RING_MAX;
module_param(ring_entries, uint, 0444);
MODULE_PARM_DESC(ring_entries, "requests that a device has at most, a power of two from 2 to 256");

static char *mode = "auto";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "auto, ring, dma, registers: how requests get to devices");

static char *interrupts = "auto";
module_param(interrupts, charp, 0444);
MODULE_PARM_DESC(interrupts, "auto, msix, intx, none: how devices tell that they are done");

static unsigned int poll_us = 1000;
module_param(poll_us, uint, 0644);
MODULE_PARM_DESC(poll_us, "longest time between two looks at a device without interrupts");

/* By enum vgpu_mode; then all of them. */
static const char *const vgpu_modes[] = { "registers", "dma", "ring", "auto" };
static const char *const vgpu_irq_kinds[] = { "auto", "msix", "intx", "none" };

/* The first look after a request, when there are no interrupts; arbitrary. */
#define VGPU_POLL_FIRST_NS 20000ULL
/* Between two looks for an interrupt that was lost; arbitrary. */
#define VGPU_POLL_LOST_NS (100 * 1000 * 1000ULL)

/**
 * vgpu_hw_check_parameters() - refuse what is none of our parameters' values
 *
 * They cannot be written later. A device would only not be bound, and whoever
 * loads the module would not hear of it.
 *
 * Return: 0 or -EINVAL, and the log says what is accepted.
 */
int vgpu_hw_check_parameters(void)
{
	if (match_string(vgpu_modes, ARRAY_SIZE(vgpu_modes), mode) < 0) {
		pr_err("vgpu-stub: mode=%s, want auto, ring, dma or registers\n",
		       mode);
		return -EINVAL;
	}
	if (match_string(vgpu_irq_kinds, ARRAY_SIZE(vgpu_irq_kinds),
			 interrupts) < 0) {
		pr_err("vgpu-stub: interrupts=%s, want auto, msix, intx or none\n",
		       interrupts);
		return -EINVAL;
	}
	if (ring_entries < 2 || ring_entries > VGPU_RING_MAX ||
	    !is_power_of_2(ring_entries)) {
		pr_err("vgpu-stub: ring_entries=%u, want a power of two from 2 to %u\n",
		       ring_entries, VGPU_RING_MAX);
		return -EINVAL;
	}
	return 0;
}

/**
 * vgpu_hw_identify() - read and check what stays constant
 * @dev: with registers
 *
 * Return: 0; -ENODEV if this is no device that we know.
 */
int vgpu_hw_identify(struct vgpu_device *dev)
{
	struct vgpu_identity *ident = &dev->ident;
	struct device *parent = &dev->pdev->dev;

	ident->protocol_version = vgpu_read(dev, VGPU_STUB_PROTO_VERSION);
	if (ident->protocol_version == U32_MAX)
		return dev_err_probe(parent, -ENODEV,
				     "Device does not answer (PROTO_VERSION reads all ones)\n");
	/* Minor versions add, and CAPABILITIES says what. */
	if (ident->protocol_version >> 16 != VGPU_PROTOCOL_VERSION >> 16)
		return dev_err_probe(parent, -ENODEV,
				     "PROTO_VERSION is 0x%08x, want 0x%08x: not a vgpu-stub\n",
				     ident->protocol_version,
				     VGPU_PROTOCOL_VERSION);
	ident->capabilities = vgpu_read(dev, VGPU_STUB_CAPABILITIES);
	if (!(ident->capabilities & VGPU_STUB_CAPABILITIES_BASIC))
		return dev_err_probe(parent, -ENODEV,
				     "CAPABILITIES is 0x%08x: no requests\n",
				     ident->capabilities);
	ident->pool_id = vgpu_read(dev, VGPU_STUB_POOL_ID);
	ident->priority = vgpu_read(dev, VGPU_STUB_PRIORITY);
	ident->vm_id = vgpu_read(dev, VGPU_STUB_VM_ID);
	return 0;
}

/**
 * vgpu_hw_choose_mode() - decide how requests get to the device
 * @dev: identified
 */
void vgpu_hw_choose_mode(struct vgpu_device *dev)
{
	const u32 capabilities = dev->ident.capabilities;
	const int want = match_string(vgpu_modes, ARRAY_SIZE(vgpu_modes), mode);

	dev->mode = VGPU_MODE_REGISTERS;
	if (want >= VGPU_MODE_DMA && capabilities & VGPU_STUB_CAPABILITIES_DMA)
		dev->mode = VGPU_MODE_DMA;
	if (want >= VGPU_MODE_RING && dev->mode == VGPU_MODE_DMA &&
	    capabilities & VGPU_STUB_CAPABILITIES_RING)
		dev->mode = VGPU_MODE_RING;
	dev->ring_entries = dev->mode == VGPU_MODE_RING ? ring_entries : 0;
}

/* Lets the work look again. */
static void vgpu_hw_look(struct vgpu_device *dev)
{
	queue_work(system_highpri_wq, &dev->work);
}

static enum hrtimer_restart vgpu_hw_poll(struct hrtimer *timer)
{
	struct vgpu_device *dev = container_of(timer, struct vgpu_device, poll);

	/*
	 * Before the work: it may run elsewhere before this function returns,
	 * and must be able to start the timer again.
	 */
	atomic_set(&dev->poll_armed, 0);
	vgpu_hw_look(dev);
	return HRTIMER_NORESTART;
}

/**
 * vgpu_hw_look_later() - look at the device again if nothing else leads to it
 * @dev: running
 *
 * A timer that was started already leads to a look that sees what came before
 * this call: the exchange is a full barrier, and so is queue_work(). Whether the
 * timer is active would not say so, for it is while its function still runs,
 * although the work that this has queued may be over.
 *
 * Context: any.
 */
void vgpu_hw_look_later(struct vgpu_device *dev)
{
	const u64 most = max(READ_ONCE(poll_us), 1u) * 1000ULL;
	u64 ns = VGPU_POLL_LOST_NS;

	if (atomic_xchg(&dev->poll_armed, 1))
		return;
	if (!dev->vectors) {
		/* The longer it takes, the less a look more would gain. */
		ns = min(READ_ONCE(dev->poll_ns), most);
		WRITE_ONCE(dev->poll_ns, min(ns * 2, most));
	}
	hrtimer_start(&dev->poll, ns_to_ktime(ns), HRTIMER_MODE_REL);
}

static void vgpu_hw_work(struct work_struct *work)
{
	struct vgpu_device *dev = container_of(work, struct vgpu_device, work);
	struct vgpu_counters *counters = &dev->queue.counters;
	const u64 before = READ_ONCE(counters->answers);
	bool again;

	WRITE_ONCE(counters->polls, counters->polls + 1);
	if (dev->mode == VGPU_MODE_RING) {
		vgpu_queue_collect(dev);
		again = vgpu_queue_has_work(dev);
	} else {
		again = vgpu_single_run(dev);
	}
	if (READ_ONCE(counters->answers) != before)
		WRITE_ONCE(dev->poll_ns, VGPU_POLL_FIRST_NS);
	if (again)
		vgpu_hw_look_later(dev);
}

/* A vector of its own, or the pin; what there is to do is the same. */
static void vgpu_hw_interrupted(struct vgpu_device *dev)
{
	WRITE_ONCE(dev->queue.counters.interrupts,
		   dev->queue.counters.interrupts + 1);
	if (dev->mode == VGPU_MODE_RING)
		vgpu_queue_collect(dev);
	else
		vgpu_hw_look(dev);
}

static irqreturn_t vgpu_hw_message(int irq, void *data)
{
	vgpu_hw_interrupted(data);
	return IRQ_HANDLED;
}

static irqreturn_t vgpu_hw_pin(int irq, void *data)
{
	struct vgpu_device *dev = data;
	u32 status;

	if (!READ_ONCE(dev->queue.running))
		return IRQ_NONE;
	status = vgpu_read(dev, VGPU_STUB_INTERRUPT_STATUS);
	if (!status || status == U32_MAX)
		return IRQ_NONE;
	/* Cleared before we look: what comes after it asserts the pin again. */
	vgpu_write(dev, VGPU_STUB_INTERRUPT_STATUS, status);
	vgpu_hw_interrupted(dev);
	return IRQ_HANDLED;
}

/* The vector of what this mode waits for, of those that there are. */
static int vgpu_hw_vector(const struct vgpu_device *dev, int count)
{
	return dev->mode == VGPU_MODE_RING && count > 1 ? 1 : 0;
}

/* Which kinds of interrupts the module parameter allows. */
static int vgpu_hw_irq_types(void)
{
	if (!strcmp(interrupts, "none"))
		return 0;
	if (!strcmp(interrupts, "intx"))
		return VGPU_IRQ_INTX;
	if (!strcmp(interrupts, "msix"))
		return PCI_IRQ_MSIX;
	return PCI_IRQ_MSIX | VGPU_IRQ_INTX;
}

/**
 * vgpu_hw_request_irqs() - ask for interrupts
 * @dev: with a mode, stopped
 *
 * Without one the device is polled, which always works.
 *
 * Return: 0 or what the kernel says.
 */
int vgpu_hw_request_irqs(struct vgpu_device *dev)
{
	const int types = vgpu_hw_irq_types();
	struct pci_dev *pdev = dev->pdev;
	int count, ret;

	if (!types ||
	    !(dev->ident.capabilities & VGPU_STUB_CAPABILITIES_INTERRUPT))
		return 0;
	count = pci_alloc_irq_vectors(pdev, 1, 2, types);
	if (count < 0) {
		dev_info(&pdev->dev, "no interrupts (%d), polling\n", count);
		return 0;
	}
	/* With one message for two things, only one of them is known. */
	dev->msix = pdev->msix_enabled;
	if (dev->msix && dev->mode == VGPU_MODE_RING && count < 2) {
		pci_free_irq_vectors(pdev);
		dev->msix = false;
		return 0;
	}
	ret = pci_request_irq(pdev, vgpu_hw_vector(dev, count),
			      dev->msix ? vgpu_hw_message : vgpu_hw_pin, NULL,
			      dev, "%s", dev_name(&dev->base.dev));
	if (ret) {
		pci_free_irq_vectors(pdev);
		return ret;
	}
	dev->vectors = count;
	return 0;
}

/**
 * vgpu_hw_free_irqs() - undo vgpu_hw_request_irqs()
 * @dev: stopped
 */
void vgpu_hw_free_irqs(struct vgpu_device *dev)
{
	if (!dev->vectors)
		return;
	pci_free_irq(dev->pdev, vgpu_hw_vector(dev, dev->vectors), dev);
	pci_free_irq_vectors(dev->pdev);
	dev->vectors = 0;
	/* An interrupt that the device was not asked for may have come. */
	cancel_work_sync(&dev->work);
}

/**
 * vgpu_hw_init() - prepare timers and works
 * @dev: zeroed
 */
void vgpu_hw_init(struct vgpu_device *dev)
{
	spin_lock_init(&dev->doorbell_lock);
	vgpu_hrtimer_init(&dev->poll, vgpu_hw_poll);
	INIT_WORK(&dev->work, vgpu_hw_work);
	dev->poll_ns = VGPU_POLL_FIRST_NS;
}

static void vgpu_hw_start_ring(struct vgpu_device *dev)
{
	const u64 entries = dev->rings_dma;
	const u64 completions =
		entries + dev->ring_entries * sizeof(struct vgpu_ring_entry);

	vgpu_ring_init(&dev->queue.ring, dev->rings,
		       dev->rings + (completions - entries), dev->ring_entries);
	dev->rung = 0;
	/* Its places can be written while it is off. */
	vgpu_write(dev, VGPU_STUB_RING_CTRL, 0);
	vgpu_write(dev, VGPU_STUB_RING_LO, lower_32_bits(entries));
	vgpu_write(dev, VGPU_STUB_RING_HI, upper_32_bits(entries));
	vgpu_write(dev, VGPU_STUB_RING_SIZE, dev->ring_entries);
	vgpu_write(dev, VGPU_STUB_COMPLETION_LO, lower_32_bits(completions));
	vgpu_write(dev, VGPU_STUB_COMPLETION_HI, upper_32_bits(completions));
	vgpu_write(dev, VGPU_STUB_RING_CTRL, VGPU_STUB_RING_CTRL_ENABLE);
}

/**
 * vgpu_hw_start() - let the device take requests
 * @dev: stopped
 *
 * Context: may sleep; the node's access is held for writing, or nobody sees the
 * node.
 * Return: 0; -EIO if the device does not.
 */
int vgpu_hw_start(struct vgpu_device *dev)
{
	u32 irqs = VGPU_STUB_INTERRUPT_CTRL_DONE;

	if (!vgpu_hw_answers(dev))
		return -EIO;
	if (dev->mode == VGPU_MODE_RING) {
		irqs = VGPU_STUB_INTERRUPT_CTRL_RING;
		vgpu_hw_start_ring(dev);
		if (vgpu_read(dev, VGPU_STUB_RING_STATUS) !=
		    VGPU_RING_RUNNING) {
			vgpu_hw_stop_ring(dev);
			return -EIO;
		}
	}
	vgpu_queue_start(dev);
	vgpu_write(dev, VGPU_STUB_INTERRUPT_STATUS, U32_MAX);
	vgpu_write(dev, VGPU_STUB_INTERRUPT_CTRL, dev->vectors ? irqs : 0);
	/* What waits since before the stop. */
	vgpu_hw_look(dev);
	return 0;
}

/**
 * vgpu_hw_stop_ring() - take its memory from the device
 * @dev: whose queue was stopped
 *
 * When this returns it has forgotten what is in the ring. What it has by other
 * registers it forgets only by a reset.
 */
void vgpu_hw_stop_ring(struct vgpu_device *dev)
{
	vgpu_write(dev, VGPU_STUB_INTERRUPT_CTRL, 0);
	if (dev->mode == VGPU_MODE_RING)
		vgpu_write(dev, VGPU_STUB_RING_CTRL, 0);
	/* A read comes back after what was written before it is done. */
	vgpu_read(dev, VGPU_STUB_INTERRUPT_CTRL);
}

/**
 * vgpu_hw_quiesce() - wait for the timer, the work and the interrupt handler
 * @dev: whose queue was stopped, so that none of them starts another
 *
 * Context: may sleep.
 */
void vgpu_hw_quiesce(struct vgpu_device *dev)
{
	int i;

	if (dev->vectors)
		synchronize_irq(pci_irq_vector(dev->pdev,
					       vgpu_hw_vector(dev,
							      dev->vectors)));
	/* The last one of each may have started the other. */
	for (i = 0; i < 2; i++) {
		hrtimer_cancel(&dev->poll);
		cancel_work_sync(&dev->work);
	}
	/* The function of a timer that was cancelled does not run. */
	atomic_set(&dev->poll_armed, 0);
}

static void vgpu_hw_ring_doorbell(struct vgpu_device *dev)
{
	u32 seen, tail;
	bool tell;

	spin_lock(&dev->doorbell_lock);
	/* Somebody else may have rung it for us. */
	if (vgpu_queue_doorbell(dev, &tell, &seen, &tail)) {
		if (tell)
			vgpu_write(dev, VGPU_STUB_COMPLETION_HEAD, seen);
		vgpu_write(dev, VGPU_STUB_RING_TAIL, tail);
		dev->rung = tail;
	}
	spin_unlock(&dev->doorbell_lock);
}

/**
 * vgpu_hw_kick() - tell the device of what was submitted
 * @dev: running
 *
 * Context: the node's access is held for reading.
 */
void vgpu_hw_kick(struct vgpu_device *dev)
{
	if (dev->mode == VGPU_MODE_RING) {
		vgpu_hw_ring_doorbell(dev);
		vgpu_hw_look_later(dev);
	} else {
		vgpu_hw_look(dev);
	}
}
