// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: requests of a device
 */

/**
 * DOC: what the queue does with a call
 *
 * A call is in exactly one list from the moment when it is submitted until it
 * settles and the device has given it back:
 *
 *	waiting --> in_flight -- answer -----------------------> settled
 *	    |           \-- time over: settled, zombies -- late answer -> freed
 *	    \-- time over ------------------------------------> settled
 *
 * With a ring there is no waiting: what the ring has no room for is not taken.
 * Without, the device has one call, the current one, and a work gives it the
 * next. What a device has it may write to, settled or not; so only an answer,
 * or a stop of the device, frees that memory.
 *
 * A stop ends what the device has. What waits goes on waiting when the device
 * was only reset or suspended, and ends when it goes.
 */

#include <linux/jiffies.h>

#include "vgpu_compat.h"
#include "vgpu_queue.h"

/* How late a device may be that can do nothing else meanwhile; arbitrary. */
#define VGPU_HANG_MS 10000

/* Gives a call to its file and the device's reference back. */
static void vgpu_queue_settle(struct vgpu_device *dev, struct vgpu_call *call,
			      int error)
{
	vgpu_call_unmap(call, dev);
	if (!mimic_entry_is_settled(&call->entry))
		call->answered = ktime_get();
	mimic_entry_settle(&call->entry, error);
	mimic_entry_put(&call->entry);
}

/* There is room again; who waits for it may come. */
static void vgpu_queue_has_room(struct vgpu_device *dev)
{
	if (!dev->queue.full)
		return;
	WRITE_ONCE(dev->queue.full, false);
	wake_up_all(&dev->base.waitq);
}

/* The device has given a call back; the lock is held. */
static void vgpu_queue_answered(struct vgpu_device *dev, struct vgpu_call *call,
				int error)
{
	struct vgpu_counters *counters = &dev->queue.counters;

	list_del_init(&call->link);
	if (mimic_entry_is_settled(&call->entry)) {
		counters->late++;
	} else if (error) {
		counters->bad++;
	} else {
		counters->answers++;
		counters->errors += call->status != VGPU_OK;
	}
	vgpu_queue_settle(dev, call, error);
}

/* Takes all completions of the ring; the lock is held. */
static void vgpu_queue_take(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	struct vgpu_ring_done done;
	struct vgpu_call *call;
	bool any = false;
	int ret;

	while ((ret = vgpu_ring_take(&queue->ring, &done))) {
		if (ret < 0) {
			queue->counters.bad++;
			continue;
		}
		call = done.owner;
		/* Nobody reads these of a call that is settled. */
		call->status = done.error;
		call->used = done.response_bytes;
		call->device_ns = done.timestamp_ns;
		vgpu_queue_answered(dev, call, done.failure);
		any = true;
	}
	if (any)
		vgpu_queue_has_room(dev);
}

/**
 * vgpu_queue_collect() - take what the device has given back by its ring
 * @dev: the device
 *
 * Context: any.
 */
void vgpu_queue_collect(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->running && dev->mode == VGPU_MODE_RING)
		vgpu_queue_take(dev);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* Makes sure that expiry comes when the time of @call is over, or before. */
static void vgpu_queue_watch(struct vgpu_queue *queue,
			     const struct vgpu_call *call)
{
	if (!call->has_deadline)
		return;
	if (!timer_pending(&queue->expiry) ||
	    time_before(call->deadline, queue->expiry.expires))
		mod_timer(&queue->expiry, call->deadline);
}

/* Whether the time of @call is over; if it is not, it is watched. */
static bool vgpu_queue_is_over(struct vgpu_queue *queue,
			       const struct vgpu_call *call)
{
	if (!call->has_deadline)
		return false;
	if (!time_before(jiffies, call->deadline))
		return true;
	vgpu_queue_watch(queue, call);
	return false;
}

/* Ends calls that the device was not given and whose time is over. */
static void vgpu_queue_expire_waiting(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	struct vgpu_call *call, *next;

	list_for_each_entry_safe(call, next, &queue->waiting, link) {
		if (!vgpu_queue_is_over(queue, call))
			continue;
		list_del_init(&call->link);
		queue->waiting_count--;
		queue->counters.timeouts++;
		vgpu_queue_settle(dev, call, -ETIMEDOUT);
		vgpu_queue_has_room(dev);
	}
}

/* Ends those that it has; their memory stays until it gives them back. */
static bool vgpu_queue_expire_in_flight(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	struct vgpu_call *call, *next;
	bool any = false;

	list_for_each_entry_safe(call, next, &queue->in_flight, link) {
		if (!vgpu_queue_is_over(queue, call))
			continue;
		call->answered = ktime_get();
		if (mimic_entry_settle(&call->entry, -ETIMEDOUT))
			queue->counters.timeouts++;
		list_move_tail(&call->link, &queue->zombies);
		call->deadline = jiffies + msecs_to_jiffies(VGPU_HANG_MS);
		any = true;
	}
	/* Others wait behind it. */
	list_for_each_entry(call, &queue->zombies, link)
		if (dev->mode != VGPU_MODE_RING &&
		    vgpu_queue_is_over(queue, call))
			any = true;
	return any;
}

static void vgpu_queue_expire(struct timer_list *timer)
{
	struct vgpu_queue *queue =
		container_of(timer, struct vgpu_queue, expiry);
	struct vgpu_device *dev = container_of(queue, struct vgpu_device, queue);
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->running) {
		/* An interrupt that was lost is no timeout. */
		if (dev->mode == VGPU_MODE_RING)
			vgpu_queue_take(dev);
		if (vgpu_queue_expire_in_flight(dev) && !dev->removing)
			queue_work(system_freezable_wq, &dev->recover);
		vgpu_queue_expire_waiting(dev);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
}

/**
 * vgpu_queue_init() - make a queue that is stopped
 * @dev: zeroed, whose
 */
void vgpu_queue_init(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;

	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->waiting);
	INIT_LIST_HEAD(&queue->in_flight);
	INIT_LIST_HEAD(&queue->zombies);
	timer_setup(&queue->expiry, vgpu_queue_expire, 0);
}

/**
 * vgpu_queue_start() - from now on calls may be given to the device
 * @dev: whose registers and rings are ready
 */
void vgpu_queue_start(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	struct vgpu_call *call;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->running = true;
	queue->full = false;
	list_for_each_entry(call, &queue->waiting, link)
		vgpu_queue_watch(queue, call);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/**
 * vgpu_queue_stop() - no more calls are given to the device
 * @dev: running or stopped
 *
 * Context: may sleep; nobody submits. What was answered is taken.
 * Return: whether the device has something still.
 */
bool vgpu_queue_stop(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	unsigned long flags;
	bool busy;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->running && dev->mode == VGPU_MODE_RING)
		vgpu_queue_take(dev);
	queue->running = false;
	busy = !list_empty(&queue->in_flight) || !list_empty(&queue->zombies);
	spin_unlock_irqrestore(&queue->lock, flags);
	vgpu_timer_stop(&queue->expiry);
	return busy;
}

/* Ends the calls of a list. */
static void vgpu_queue_cancel_list(struct vgpu_device *dev,
				   struct list_head *list, int error)
{
	struct vgpu_call *call;

	while (!list_empty(list)) {
		call = list_first_entry(list, struct vgpu_call, link);
		list_del_init(&call->link);
		if (!mimic_entry_is_settled(&call->entry))
			dev->queue.counters.cancelled++;
		vgpu_queue_settle(dev, call, error);
	}
}

/**
 * vgpu_queue_cancel() - end what the device had
 * @dev: stopped; it uses no memory any more
 * @error: that calls without an answer end with
 * @all: also what waits
 *
 * Context: may sleep; @dev->pdev is still there.
 */
void vgpu_queue_cancel(struct vgpu_device *dev, int error, bool all)
{
	struct vgpu_queue *queue = &dev->queue;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (dev->mode == VGPU_MODE_RING)
		while (vgpu_ring_forget(&queue->ring))
			;
	vgpu_queue_cancel_list(dev, &queue->in_flight, error);
	vgpu_queue_cancel_list(dev, &queue->zombies, error);
	queue->current_call = NULL;
	if (all) {
		vgpu_queue_cancel_list(dev, &queue->waiting, error);
		queue->waiting_count = 0;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* Whether all of its room is taken by what nobody waits for. */
static bool vgpu_queue_has_only_zombies(const struct vgpu_queue *queue)
{
	return list_empty(&queue->in_flight) && !list_empty(&queue->zombies);
}

/* Puts a call into the ring; the lock is held. */
static int vgpu_queue_add_to_ring(struct vgpu_device *dev,
				  struct vgpu_call *call)
{
	struct vgpu_queue *queue = &dev->queue;
	struct vgpu_ring_request request;
	int ret;

	if (vgpu_ring_is_full(&queue->ring)) {
		if (vgpu_queue_has_only_zombies(queue) && !dev->removing)
			queue_work(system_freezable_wq, &dev->recover);
		return -ENOSPC;
	}
	ret = vgpu_call_map(call, dev);
	if (ret)
		return ret;
	request = (struct vgpu_ring_request){
		.request_address = vgpu_call_request_dma(call),
		.response_address = vgpu_call_response_dma(call),
		.request_bytes = call->request_bytes,
		.response_bytes = call->response_bytes,
		.owner = call,
	};
	ret = vgpu_ring_add(&queue->ring, &request);
	if (ret)
		vgpu_call_unmap(call, dev);
	return ret;
}

/* Adds one call; the lock is held. */
static int vgpu_queue_add(struct vgpu_device *dev, struct vgpu_call *call)
{
	struct vgpu_queue *queue = &dev->queue;
	int ret;

	if (dev->mode == VGPU_MODE_RING) {
		ret = vgpu_queue_add_to_ring(dev, call);
		if (ret)
			return ret;
		list_move_tail(&call->link, &queue->in_flight);
		queue->counters.requests++;
	} else {
		if (queue->waiting_count == VGPU_MAX_WAITING)
			return -ENOSPC;
		list_move_tail(&call->link, &queue->waiting);
		queue->waiting_count++;
	}
	call->submitted = ktime_get();
	mimic_entry_start(&call->entry);
	vgpu_queue_watch(queue, call);
	return 0;
}

/**
 * vgpu_queue_submit() - give calls to the device
 * @dev: running
 * @calls: with room reserved in their ledgers; those that were taken leave it
 *
 * The device hears of them by vgpu_hw_kick().
 *
 * Context: the node's access is held for reading.
 * Return: how many were taken; or, if none was, -ENOSPC (no room), -ENOMEM,
 * -ENODEV.
 */
int vgpu_queue_submit(struct vgpu_device *dev, struct list_head *calls)
{
	struct vgpu_queue *queue = &dev->queue;
	unsigned long flags;
	int count = 0, ret = 0;

	spin_lock_irqsave(&queue->lock, flags);
	if (!queue->running)
		ret = -ENOSPC;
	while (!ret && !list_empty(calls)) {
		ret = vgpu_queue_add(dev, list_first_entry(calls,
							   struct vgpu_call,
							   link));
		count += !ret;
	}
	if (ret == -ENOSPC) {
		WRITE_ONCE(queue->full, true);
		queue->counters.full++;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return count ? count : ret;
}

/**
 * vgpu_queue_doorbell() - what the device has to be told
 * @dev: with a ring
 * @tell: whether it must know what was seen, before the doorbell
 * @seen: that
 * @tail: the doorbell
 *
 * Context: the doorbell lock is held.
 * Return: whether there is something to tell.
 */
bool vgpu_queue_doorbell(struct vgpu_device *dev, bool *tell, u32 *seen,
			 u32 *tail)
{
	struct vgpu_queue *queue = &dev->queue;
	unsigned long flags;
	bool ring;

	spin_lock_irqsave(&queue->lock, flags);
	*tail = queue->ring.tail;
	ring = queue->running && *tail != dev->rung;
	*tell = ring && vgpu_ring_must_tell(&queue->ring);
	*seen = queue->ring.seen;
	queue->counters.doorbells += ring;
	spin_unlock_irqrestore(&queue->lock, flags);
	return ring;
}

/**
 * vgpu_queue_current() - what a device without a ring has
 * @dev: the device
 *
 * Context: the device's work, which alone changes it.
 * Return: a call, or NULL.
 */
struct vgpu_call *vgpu_queue_current(struct vgpu_device *dev)
{
	return READ_ONCE(dev->queue.current_call);
}

/**
 * vgpu_queue_next() - take the next for a device without a ring
 * @dev: the device, which has nothing
 *
 * Context: the device's work.
 * Return: a call, the current one from now on; NULL: none waits.
 */
struct vgpu_call *vgpu_queue_next(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	struct vgpu_call *call = NULL;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->running && !list_empty(&queue->waiting)) {
		call = list_first_entry(&queue->waiting, struct vgpu_call,
					link);
		list_move_tail(&call->link, &queue->in_flight);
		queue->waiting_count--;
		queue->counters.requests++;
		queue->counters.doorbells++;
		WRITE_ONCE(queue->current_call, call);
		vgpu_queue_has_room(dev);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return call;
}

/**
 * vgpu_queue_done() - a device without a ring has given back what it had
 * @dev: the device
 * @call: the current one
 * @error: 0: what the call says; or a negative errno
 *
 * Context: the device's work.
 */
void vgpu_queue_done(struct vgpu_device *dev, struct vgpu_call *call, int error)
{
	struct vgpu_queue *queue = &dev->queue;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	WRITE_ONCE(queue->current_call, NULL);
	vgpu_queue_answered(dev, call, error);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* Whether the device holds up others with a call whose time is long over. */
static bool vgpu_queue_hangs(const struct vgpu_queue *queue)
{
	const struct vgpu_call *call;

	list_for_each_entry(call, &queue->zombies, link)
		if (!time_before(jiffies, call->deadline))
			return true;
	return false;
}

/**
 * vgpu_queue_is_stuck() - whether only a restart helps
 * @dev: the device
 */
bool vgpu_queue_is_stuck(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	unsigned long flags;
	bool stuck;

	spin_lock_irqsave(&queue->lock, flags);
	if (dev->mode == VGPU_MODE_RING)
		stuck = vgpu_ring_is_full(&queue->ring) &&
			vgpu_queue_has_only_zombies(queue);
	else
		stuck = vgpu_queue_hangs(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
	return stuck;
}

/**
 * vgpu_queue_has_work() - whether it is worth looking at the device
 * @dev: the device
 */
bool vgpu_queue_has_work(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	unsigned long flags;
	bool has;

	spin_lock_irqsave(&queue->lock, flags);
	has = queue->running &&
	      (!list_empty(&queue->in_flight) || !list_empty(&queue->zombies) ||
	       !list_empty(&queue->waiting));
	spin_unlock_irqrestore(&queue->lock, flags);
	return has;
}

/**
 * vgpu_queue_outstanding() - calls that wait, and that the device has
 * @dev: the device
 */
u32 vgpu_queue_outstanding(struct vgpu_device *dev)
{
	struct vgpu_queue *queue = &dev->queue;
	struct list_head *item;
	unsigned long flags;
	u32 count;

	spin_lock_irqsave(&queue->lock, flags);
	count = queue->waiting_count;
	list_for_each(item, &queue->in_flight)
		count++;
	list_for_each(item, &queue->zombies)
		count++;
	spin_unlock_irqrestore(&queue->lock, flags);
	return count;
}
