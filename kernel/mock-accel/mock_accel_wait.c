// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: waiting and poll()
 */

/**
 * DOC: waiting for a status change and for completions
 *
 * A status change is a counter, @status_seq, that the interrupt handler moves.
 * Interrupts may merge, so the counter says "something changed since", not how
 * often. The counter is always read before the register: a change in between
 * moves the counter again, so that no reader sleeps on a stale value.
 *
 * A wait for completions holds no lock while it sleeps. It sleeps on the file,
 * not on the queue, so that the queue may be destroyed meanwhile, and for a
 * slice of time only: completions are found in memory, and interrupts, which
 * may be lost or may not exist, only shorten the sleep.
 *
 * poll() cannot sleep for a slice of time. Where completions raise no
 * interrupt, work that runs once, a little later, lets those who poll look
 * again; it is asked for by each look that finds something in flight, and by
 * each submission while somebody polls, so nothing runs when nobody does.
 *
 * A status change without an interrupt cannot be waited for at all. As with the
 * pending error of a socket, poll() says so by EPOLLERR until the file was told
 * in words, by an ioctl, and never again: a loop that goes on with completions
 * does not spin.
 */

#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>

#include "mock_accel_hw.h"
#include "mock_accel_queue.h"
#include "mock_accel_ring.h"
#include "mock_accel_wait.h"

/* How long to wait for an interrupt before looking at the ring; arbitrary. */
#define MOCK_ACCEL_SLICE_NS (100 * NSEC_PER_MSEC)
/* The same where there is no interrupt. */
#define MOCK_ACCEL_POLL_NS (50 * NSEC_PER_USEC)

static bool mock_accel_changed(struct mock_accel_node *node, u32 seen_seq)
{
	return READ_ONCE(node->base.gone) ||
	       (u32)atomic_read(&node->status_seq) != seen_seq;
}

/**
 * mock_accel_wait_status() - MOCK_ACCEL_IOC_WAIT_STATUS
 * @context: the open file
 * @argument: struct mock_accel_wait
 *
 * Return: 0 or a negative errno, see README.md.
 */
int mock_accel_wait_status(void *context, void *argument)
{
	struct mock_accel_file *file = context;
	struct mock_accel_wait *wait = argument;
	struct mock_accel_node *node = mock_accel_node_of(file);
	const u32 seen = wait->status_seq;
	long left = MAX_SCHEDULE_TIMEOUT;
	int ret;

	if (wait->flags || wait->reserved || wait->timeout_ms < -1)
		return -EINVAL;
	if (READ_ONCE(node->base.gone))
		return -ENODEV;
	if (!node->has_irq) {
		WRITE_ONCE(file->told_no_irq, true);
		return -EOPNOTSUPP;
	}

	if (wait->timeout_ms >= 0)
		left = msecs_to_jiffies(wait->timeout_ms);
	left = wait_event_interruptible_timeout(node->base.waitq,
						mock_accel_changed(node, seen),
						left);
	if (left < 0)
		return left;
	if (!left)
		return -ETIMEDOUT;

	wait->status_seq = atomic_read(&node->status_seq);
	ret = mock_accel_read_status(node, &wait->status);
	if (ret)
		return ret;
	WRITE_ONCE(file->seen_seq, wait->status_seq);
	return 0;
}

/* One look at a queue for WAIT: 0 and the numbers, or a negative errno. */
static int mock_accel_wait_look(struct mock_accel_file *file,
				struct mock_accel_wait_queue *wait,
				bool *interrupt)
{
	struct mock_accel_queue *queue;
	int ret = -EINVAL;

	mutex_lock(&file->lock);
	queue = mock_accel_find_queue(file, wait->queue);
	if (queue) {
		mock_accel_queue_scan(queue);
		if (mock_accel_progress_consume(&queue->progress,
						wait->consumed))
			ret = 0;
		wait->completed = queue->progress.completed;
		wait->origin = queue->progress.origin;
		*interrupt = queue->interrupt;
	}
	mutex_unlock(&file->lock);
	return ret;
}

/* After a long silence: is the ring, is the device still alive? */
static int mock_accel_wait_check(struct mock_accel_file *file, u32 handle)
{
	struct mock_accel_node *node = mock_accel_node_of(file);
	struct mock_accel_function *func;
	struct mock_accel_queue *queue;
	int ret = 0;

	func = mock_accel_get_function(node);
	if (IS_ERR(func))
		return PTR_ERR(func) == -EAGAIN ? 0 : PTR_ERR(func);
	mutex_lock(&file->lock);
	queue = mock_accel_find_queue(file, handle);
	if (queue)
		ret = mock_accel_queue_check(queue);
	mutex_unlock(&file->lock);
	mock_accel_put_function(node);
	return ret;
}

static bool mock_accel_happened(const struct mock_accel_file *file, int seen)
{
	return atomic_read(&file->events) != seen ||
	       READ_ONCE(file->base.node->gone);
}

/* Sleeps until something happens in the file, or for a while. */
static int mock_accel_wait_sleep(struct mock_accel_file *file, int seen,
				 ktime_t while_ns)
{
	int ret;

	ret = wait_event_interruptible_hrtimeout(file->waitq,
						 mock_accel_happened(file, seen),
						 while_ns);
	return ret == -ERESTARTSYS ? ret : 0;
}

static int mock_accel_wait_until_done(struct mock_accel_file *file,
				      struct mock_accel_wait_queue *wait)
{
	const ktime_t start = ktime_get();
	ktime_t end = KTIME_MAX, now = start, checked = start, slice;
	bool interrupt;
	int seen, ret;

	if (wait->timeout_ms >= 0)
		end = ktime_add_ms(start, wait->timeout_ms);
	for (;;) {
		seen = atomic_read(&file->events);
		if (READ_ONCE(file->base.node->gone))
			return -ENODEV;
		ret = mock_accel_wait_look(file, wait, &interrupt);
		if (ret)
			return ret;
		if (wait->completed - wait->consumed >= wait->count)
			return 0;
		now = ktime_get();
		if (ktime_sub(now, checked) >= MOCK_ACCEL_SLICE_NS ||
		    ktime_compare(now, end) >= 0) {
			ret = mock_accel_wait_check(file, wait->queue);
			if (ret)
				return ret;
			checked = now;
		}
		if (ktime_compare(now, end) >= 0)
			return -ETIMEDOUT;
		slice = interrupt ? MOCK_ACCEL_SLICE_NS : MOCK_ACCEL_POLL_NS;
		slice = min(slice, ktime_sub(end, now));
		ret = mock_accel_wait_sleep(file, seen, slice);
		if (ret)
			return ret;
	}
}

/**
 * mock_accel_wait_queue() - MOCK_ACCEL_IOC_WAIT
 * @context: the open file
 * @argument: struct mock_accel_wait_queue
 *
 * Return: 0 or a negative errno, see README.md.
 */
int mock_accel_wait_queue(void *context, void *argument)
{
	struct mock_accel_wait_queue *wait = argument;

	if (wait->flags || wait->timeout_ms < -1)
		return -EINVAL;
	return mock_accel_wait_until_done(context, wait);
}

/**
 * mock_accel_poll() - poll() of a file
 * @filp: the open file
 * @table: where to wait
 *
 * Context: may sleep; takes file->lock.
 * Return: see README.md.
 */
__poll_t mock_accel_poll(struct file *filp, poll_table *table)
{
	struct mock_accel_file *file = filp->private_data;
	struct mock_accel_node *node = mock_accel_node_of(file);
	__poll_t events = 0;
	bool look_again;

	poll_wait(filp, &node->base.waitq, table);
	poll_wait(filp, &file->waitq, table);
	if (READ_ONCE(node->base.gone))
		return EPOLLHUP | EPOLLERR;
	if (mock_accel_file_has_completions(file, &look_again))
		events |= EPOLLIN | EPOLLRDBAND;
	else if (look_again)
		mock_accel_look_soon(file);
	if (!node->has_irq && !READ_ONCE(file->told_no_irq))
		events |= EPOLLERR;
	if (node->has_irq && mock_accel_changed(node, READ_ONCE(file->seen_seq)))
		events |= EPOLLIN | EPOLLRDNORM;
	return events;
}
