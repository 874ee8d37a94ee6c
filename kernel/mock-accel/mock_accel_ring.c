// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: hardware rings
 */

/**
 * DOC: starting, stopping and reading hardware rings
 *
 * A ring is enabled late, by the first submission, and again by the first
 * submission after something stopped it. A ring that is stopped completes what
 * was in flight with ABORTED, by our hand, so that nobody waits for ever. Which
 * operations are complete is in mock_accel_progress.c.
 *
 * Rule: memory is taken from the device only after its ring was stopped. If a
 * ring does not stop although the device answers, bus mastering is taken from
 * the function, and the function is dead until it is reset or bound again.
 */

#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/jiffies.h>

#include "mock_accel_hw.h"
#include "mock_accel_ring.h"

/* How long poll() waits where there is no interrupt; arbitrary. */
#define MOCK_ACCEL_LOOK_MS 10

#define MOCK_ACCEL_RING_REG(ring, name)                \
	((ring)->func->regs + MOCK_ACCEL_RING_##name + \
	 (ring)->index * MOCK_ACCEL_RING_##name##_STRIDE)

static struct mock_accel_slot *
mock_accel_next_slot(const struct mock_accel_queue *queue)
{
	return &queue->slots[queue->progress.completed &
			     (queue->progress.entries - 1)];
}

/* An operation does not hold its buffers any more. */
static void mock_accel_forget(struct mock_accel_slot *slot)
{
	if (slot->src)
		slot->src->in_flight--;
	if (slot->dst)
		slot->dst->in_flight--;
	slot->src = NULL;
	slot->dst = NULL;
}

static void mock_accel_wake_file(struct mock_accel_file *file)
{
	atomic_inc(&file->events);
	wake_up_all(&file->waitq);
}

/**
 * mock_accel_look_soon() - let those who poll a file look again, a little later
 * @file: the file
 *
 * For what no interrupt tells of.
 *
 * Context: any.
 */
void mock_accel_look_soon(struct mock_accel_file *file)
{
	schedule_delayed_work(&file->look,
			      msecs_to_jiffies(MOCK_ACCEL_LOOK_MS));
}

/**
 * mock_accel_queue_scan() - take notice of what the device has completed
 * @queue: the queue
 *
 * Context: holds @queue->file->lock.
 */
void mock_accel_queue_scan(struct mock_accel_queue *queue)
{
	struct mock_accel_progress *progress = &queue->progress;
	const u32 before = progress->completed;

	lockdep_assert_held(&queue->file->lock);
	while (mock_accel_progress_is_ready(progress)) {
		mock_accel_forget(mock_accel_next_slot(queue));
		mock_accel_progress_take(progress);
	}
	/* The handler may have looked at what we have just taken. */
	if (progress->completed != before)
		mock_accel_wake_file(queue->file);
}

/**
 * mock_accel_queue_abort() - complete by hand what the device will not
 * @queue: a queue that is not running
 *
 * Context: holds @queue->file->lock.
 */
void mock_accel_queue_abort(struct mock_accel_queue *queue)
{
	struct mock_accel_progress *progress = &queue->progress;
	struct mock_accel_slot *slot;

	lockdep_assert_held(&queue->file->lock);
	while (progress->completed != progress->submitted) {
		slot = mock_accel_next_slot(queue);
		mock_accel_forget(slot);
		mock_accel_progress_abort(progress, slot->cookie);
	}
	mock_accel_wake_file(queue->file);
}

/**
 * mock_accel_queue_start() - enable the hardware ring
 * @queue: a queue that is not running and has nothing in flight
 *
 * Context: holds node->access for reading, the function usable, and
 * @queue->file->lock.
 * Return: 0; -ENODEV if the device does not answer, -EIO if it does not enable
 * the ring.
 */
int mock_accel_queue_start(struct mock_accel_queue *queue)
{
	struct mock_accel_ring *ring = queue->ring;
	u32 control = MOCK_ACCEL_RING_CONTROL_ENABLE;
	u32 value;

	lockdep_assert_held(&queue->file->lock);
	if (queue->interrupt)
		control |= MOCK_ACCEL_RING_CONTROL_INTERRUPT_ENABLE;
	/* Ignored while a ring is enabled; nobody else should have done that. */
	writel(0, MOCK_ACCEL_RING_REG(ring, CONTROL));
	writeq(queue->descriptors.dma, MOCK_ACCEL_RING_REG(ring, BASE));
	writeq(queue->completions.dma,
	       ring->func->regs + MOCK_ACCEL_COMPLETION_BASE +
		       ring->index * MOCK_ACCEL_COMPLETION_BASE_STRIDE);
	writel(queue->progress.order, MOCK_ACCEL_RING_REG(ring, ORDER));
	/* From the write on the device may use the memory. */
	mock_accel_progress_start(&queue->progress);
	writel(control, MOCK_ACCEL_RING_REG(ring, CONTROL));
	value = readl(MOCK_ACCEL_RING_REG(ring, CONTROL));
	if (value == control)
		return 0;
	mock_accel_queue_stop(queue, MOCK_ACCEL_STOP_AND_READ);
	return value == U32_MAX ? -ENODEV : -EIO;
}

/**
 * mock_accel_queue_ring_doorbell() - tell the device of all submitted operations
 * @queue: a running queue
 *
 * Context: as mock_accel_queue_start().
 */
void mock_accel_queue_ring_doorbell(struct mock_accel_queue *queue)
{
	/* The descriptors are there before the device is told. */
	dma_wmb();
	writel(mock_accel_progress_place(&queue->progress,
					 queue->progress.submitted),
	       MOCK_ACCEL_RING_REG(queue->ring, TAIL));
	/* Who polls later than this looks by himself. */
	if (!queue->interrupt && waitqueue_active(&queue->file->waitq))
		mock_accel_look_soon(queue->file);
}

/**
 * mock_accel_queue_stop() - disable the hardware ring
 * @queue: the queue
 * @how: whether the device may be read
 *
 * When this returns, the device starts no more DMA for the ring; what it had
 * completed was noticed. The caller aborts the rest.
 *
 * Context: holds node->access and @queue->file->lock; the function is there,
 * answering or not.
 * Return: 0, or -EIO if the ring did not stop and the function is dead now.
 */
int mock_accel_queue_stop(struct mock_accel_queue *queue,
			  enum mock_accel_stop how)
{
	struct mock_accel_function *func;
	u32 value;
	int ret = 0;

	lockdep_assert_held(&queue->file->lock);
	if (!queue->progress.running)
		return 0;
	func = queue->ring->func;
	writel(0, MOCK_ACCEL_RING_REG(queue->ring, CONTROL));
	if (how == MOCK_ACCEL_STOP_AND_READ) {
		/* The answer is behind all DMA that had started. */
		value = readl(MOCK_ACCEL_RING_REG(queue->ring, CONTROL));
		if (value != U32_MAX &&
		    (value & MOCK_ACCEL_RING_CONTROL_ENABLE)) {
			dev_err(&func->pdev->dev,
				"Ring %u does not stop: function disabled\n",
				queue->ring->index);
			pci_clear_master(func->pdev);
			set_bit(MOCK_ACCEL_BLOCKED_DEAD, &func->blocked);
			ret = -EIO;
		}
	}
	mock_accel_queue_scan(queue);
	mock_accel_progress_stop(&queue->progress);
	return ret;
}

/**
 * mock_accel_queue_check() - look after a ring that has been silent for long
 * @queue: the queue
 *
 * Context: as mock_accel_queue_start().
 * Return: 0, also if the ring had halted: it is stopped then, and what was in
 * flight is aborted; -ENODEV if the device does not answer.
 */
int mock_accel_queue_check(struct mock_accel_queue *queue)
{
	struct mock_accel_ring *ring = queue->ring;
	u32 status;

	lockdep_assert_held(&queue->file->lock);
	if (!queue->progress.running)
		return 0;
	status = readl(MOCK_ACCEL_RING_REG(ring, STATUS));
	if (status == U32_MAX && !mock_accel_is_present(ring->func))
		return -ENODEV;
	if (!(status & MOCK_ACCEL_RING_STATUS_HALTED))
		return 0;
	dev_warn_ratelimited(&ring->func->pdev->dev,
			     "Ring %u halted (RING_STATUS 0x%08x), aborting\n",
			     ring->index, status);
	mock_accel_queue_stop(queue, MOCK_ACCEL_STOP_AND_READ);
	mock_accel_queue_abort(queue);
	return 0;
}

/**
 * mock_accel_ring_claim() - take a free hardware ring
 * @func: the function
 * @queue: who takes it; complete but for its @ring
 *
 * Context: holds node->access for reading.
 * Return: the ring, or NULL if all are taken.
 */
struct mock_accel_ring *mock_accel_ring_claim(struct mock_accel_function *func,
					      struct mock_accel_queue *queue)
{
	struct mock_accel_ring *ring = NULL;
	u32 i;

	spin_lock_irq(&func->node_lock);
	for (i = 0; i < func->ring_count && !ring; i++)
		if (!func->rings[i].queue)
			ring = &func->rings[i];
	if (ring) {
		queue->ring = ring;
		ring->queue = queue;
	}
	spin_unlock_irq(&func->node_lock);
	return ring;
}

/**
 * mock_accel_ring_release() - give the hardware ring back
 * @queue: a queue that is not running
 *
 * When this returns, no interrupt handler uses @queue.
 *
 * Context: holds node->access and @queue->file->lock; the function is there.
 */
void mock_accel_ring_release(struct mock_accel_queue *queue)
{
	struct mock_accel_ring *ring = queue->ring;

	if (!ring)
		return;
	spin_lock_irq(&ring->func->node_lock);
	ring->queue = NULL;
	spin_unlock_irq(&ring->func->node_lock);
	queue->ring = NULL;
}
