// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: request queues
 */

/**
 * DOC: what a queue does with a call
 *
 * A call is in exactly one list of its queue from the moment when the device
 * gets it until it settles and the device has given it back:
 *
 *	in_flight -- answer ------------------------------> settled
 *	    |   \---- answer, lock-step --> delayed -- due -> settled
 *	    \-- time over: settled, zombies -- late answer -> freed
 *
 * A stop (removal, suspend, reset) ends all three: the device was reset, so it
 * has no buffer any more.
 *
 * In lock-step nothing interrupts. The device holds the guest's clock until it
 * knows each answer and its latency; the answer is taken right after the kick
 * and given to its file when the latency is over, by an hrtimer. So what a
 * program sees depends on the guest's clock only.
 */

#include <linux/jiffies.h>

#include "sst_compat.h"
#include "sst_queue.h"

/* Gives a call to its file and the device's reference back. */
static void sst_queue_settle(struct sst_call *call, int error)
{
	if (!mimic_entry_is_settled(&call->entry))
		call->answered = ktime_get();
	mimic_entry_settle(&call->entry, error);
	mimic_entry_put(&call->entry);
}

/* A queue has room again; who waits for it may come. */
static void sst_queue_has_room(struct sst_queue *queue)
{
	if (!queue->full)
		return;
	WRITE_ONCE(queue->full, false);
	wake_up_all(&queue->dev->base.waitq);
}

/* Keeps a call until its latency is over. */
static void sst_queue_delay(struct sst_queue *queue, struct sst_call *call)
{
	struct sst_call *other;
	struct list_head *place = &queue->delayed;

	call->due = ktime_add_ns(call->submitted, call->timing.latency);
	list_for_each_entry_reverse(other, &queue->delayed, link) {
		if (ktime_compare(other->due, call->due) <= 0) {
			place = &other->link;
			break;
		}
	}
	list_add(&call->link, place);
	if (queue->delayed.next == &call->link)
		hrtimer_start(&queue->due, call->due, HRTIMER_MODE_ABS);
}

/* The device has given a call back. */
static void sst_queue_answered(struct sst_queue *queue, struct sst_call *call,
			       u32 used)
{
	struct sst_queue_counters *counters = &queue->counters;
	const bool late = mimic_entry_is_settled(&call->entry);
	int error = 0;

	list_del_init(&call->link);
	if (late) {
		counters->late++;
	} else {
		error = sst_call_answer(call, queue->dev, used);
		counters->answers += !error;
		counters->failed += !error && call->status != SST_STATUS_OK;
		counters->bad += !!error;
	}
	dev_dbg(&queue->dev->base.dev,
		"response: id=%llu, status=%u, error=%d, late=%d\n", call->id,
		call->status, error, late);
	if (queue->dev->lock_step && !late && !error && call->timing.latency)
		sst_queue_delay(queue, call);
	else
		sst_queue_settle(call, error);
}

/* Takes all calls that the device has given back; the lock is held. */
static void sst_queue_take_used(struct sst_queue *queue)
{
	struct sst_call *call;
	bool any = false;
	u32 used;

	while ((call = virtqueue_get_buf(queue->vq, &used))) {
		sst_queue_answered(queue, call, used);
		any = true;
	}
	if (any)
		sst_queue_has_room(queue);
}

/**
 * sst_queue_collect() - take what the device has given back
 * @queue: the queue
 *
 * Context: any.
 */
void sst_queue_collect(struct sst_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->vq)
		sst_queue_take_used(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
}

static struct sst_queue *sst_queue_of(struct virtqueue *vq)
{
	struct sst_device *dev = vq->vdev->priv;

	return &dev->queues[vq->index ? (vq->index - 1) / 2 : 0];
}

/**
 * sst_queue_interrupt() - the device says that it has given calls back
 * @vq: a request queue
 *
 * Context: interrupt.
 */
void sst_queue_interrupt(struct virtqueue *vq)
{
	struct sst_queue *queue = sst_queue_of(vq);
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->counters.interrupts++;
	if (queue->vq) {
		do {
			virtqueue_disable_cb(queue->vq);
			sst_queue_take_used(queue);
		} while (!virtqueue_enable_cb(queue->vq));
	}
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* Settles all whose latency is over. */
static enum hrtimer_restart sst_queue_due(struct hrtimer *timer)
{
	struct sst_queue *queue = container_of(timer, struct sst_queue, due);
	const ktime_t now = ktime_get();
	struct sst_call *call;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	while (!list_empty(&queue->delayed)) {
		call = list_first_entry(&queue->delayed, struct sst_call, link);
		if (ktime_compare(call->due, now) > 0) {
			hrtimer_start(timer, call->due, HRTIMER_MODE_ABS);
			break;
		}
		list_del_init(&call->link);
		sst_queue_settle(call, 0);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return HRTIMER_NORESTART;
}

/* Makes sure that expiry comes when the time of @call is over, or before. */
static void sst_queue_watch(struct sst_queue *queue,
			    const struct sst_call *call)
{
	if (!call->has_deadline)
		return;
	if (!timer_pending(&queue->expiry) ||
	    time_before(call->deadline, queue->expiry.expires))
		mod_timer(&queue->expiry, call->deadline);
}

/* Ends the calls of @list whose time is over. */
static void sst_queue_expire_list(struct sst_queue *queue,
				  struct list_head *list, bool at_device)
{
	struct sst_call *call, *next;

	list_for_each_entry_safe(call, next, list, link) {
		if (call->has_deadline &&
		    time_before(jiffies, call->deadline)) {
			sst_queue_watch(queue, call);
			continue;
		}
		if (!call->has_deadline)
			continue;
		call->answered = ktime_get();
		if (mimic_entry_settle(&call->entry, -ETIMEDOUT))
			queue->counters.timeouts++;
		if (at_device)
			list_move_tail(&call->link, &queue->zombies);
		else
			call->has_deadline = false;
	}
}

/* Whether all of its room is taken by what nobody waits for. */
static bool sst_queue_has_only_zombies(const struct sst_queue *queue)
{
	return queue->full && list_empty(&queue->in_flight) &&
	       !list_empty(&queue->zombies);
}

/* Lets the device be reset if it needs that. */
static void sst_queue_recover(struct sst_queue *queue)
{
	queue_work(system_freezable_wq, &queue->dev->recover);
}

static void sst_queue_expire(struct timer_list *timer)
{
	struct sst_queue *queue = container_of(timer, struct sst_queue, expiry);
	const u64 before = queue->counters.timeouts;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->vq) {
		/* An interrupt that was lost is no timeout. */
		sst_queue_take_used(queue);
		sst_queue_expire_list(queue, &queue->in_flight, true);
		sst_queue_expire_list(queue, &queue->delayed, false);
		if (queue->counters.timeouts != before)
			sst_queue_recover(queue);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
}

/**
 * sst_queue_init() - make a queue that is stopped
 * @queue: zeroed memory
 * @dev: what it is a part of
 * @index: which
 */
void sst_queue_init(struct sst_queue *queue, struct sst_device *dev, u32 index)
{
	queue->dev = dev;
	queue->index = index;
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->in_flight);
	INIT_LIST_HEAD(&queue->zombies);
	INIT_LIST_HEAD(&queue->delayed);
	sst_hrtimer_init(&queue->due, sst_queue_due);
	timer_setup(&queue->expiry, sst_queue_expire, 0);
}

/**
 * sst_queue_start() - begin to use a virtqueue
 * @queue: stopped
 * @vq: its request queue
 */
void sst_queue_start(struct sst_queue *queue, struct virtqueue *vq)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->vq = vq;
	queue->full = false;
	if (queue->dev->lock_step)
		virtqueue_disable_cb(vq);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/**
 * sst_queue_stop() - end all calls
 * @queue: running or stopped; the device was reset, so it uses no buffer
 * @error: that calls without an answer end with
 *
 * Context: may sleep; nobody submits.
 */
void sst_queue_stop(struct sst_queue *queue, int error)
{
	struct sst_call *call;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (!queue->vq) {
		spin_unlock_irqrestore(&queue->lock, flags);
		return;
	}
	/* What was answered before the reset is an answer. */
	sst_queue_take_used(queue);
	while ((call = virtqueue_detach_unused_buf(queue->vq))) {
		list_del_init(&call->link);
		queue->counters.cancelled++;
		sst_queue_settle(call, error);
	}
	queue->vq = NULL;
	spin_unlock_irqrestore(&queue->lock, flags);
	/* Neither starts again without a virtqueue and without calls. */
	sst_timer_stop(&queue->expiry);
	hrtimer_cancel(&queue->due);
	/* Nor does anybody else look at these now. */
	while (!list_empty(&queue->delayed)) {
		call = list_first_entry(&queue->delayed, struct sst_call, link);
		list_del_init(&call->link);
		queue->counters.cancelled++;
		sst_queue_settle(call, error);
	}
}

/* Adds calls from the front of @calls; the lock is held. */
static int sst_queue_add(struct sst_queue *queue, struct list_head *calls)
{
	struct sst_call *call;
	int count = 0, ret;

	while (!list_empty(calls)) {
		call = list_first_entry(calls, struct sst_call, link);
		call->queue = queue;
		ret = sst_call_add(call, queue->dev, queue->vq);
		if (ret == -ENOSPC) {
			WRITE_ONCE(queue->full, true);
			queue->counters.full++;
			if (sst_queue_has_only_zombies(queue))
				sst_queue_recover(queue);
		}
		if (ret)
			return count ? count : ret;
		mimic_entry_start(&call->entry);
		list_move_tail(&call->link, &queue->in_flight);
		sst_queue_watch(queue, call);
		queue->counters.requests++;
		count++;
		dev_dbg(&queue->dev->base.dev,
			"request: queue=%u, id=%llu, user_data=%llx\n",
			queue->index, call->id, call->user_data);
	}
	return count;
}

/* Waits until the device has answered what it was told of (lock-step). */
static void sst_queue_flush(struct sst_queue *queue)
{
	struct virtio_device *vdev = queue->dev->vdev;
	u32 version;

	/* One access; what it reads does not matter. */
	vdev->config->get(vdev, offsetof(struct SSTConfig, version), &version,
			  sizeof(version));
	sst_queue_collect(queue);
}

/**
 * sst_queue_submit() - give calls to the device, with one kick
 * @queue: of a device that runs
 * @calls: with room reserved in their ledgers; those that were taken leave it
 *
 * Context: the node's access is held for reading.
 * Return: how many were taken; or, if none was, -ENOSPC (no room), -ENOMEM, -EIO.
 */
int sst_queue_submit(struct sst_queue *queue, struct list_head *calls)
{
	bool kick = false;
	unsigned long flags;
	int count;

	spin_lock_irqsave(&queue->lock, flags);
	count = sst_queue_add(queue, calls);
	if (count > 0) {
		kick = virtqueue_kick_prepare(queue->vq);
		queue->counters.kicks += kick;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	/*
	 * Outside of the lock, which an interrupt handler wants. The virtqueue
	 * stays: a stop needs the node's access for writing.
	 */
	if (kick)
		virtqueue_notify(queue->vq);
	if (count > 0 && queue->dev->lock_step)
		sst_queue_flush(queue);
	return count;
}

/**
 * sst_queue_is_stuck() - whether only a reset helps
 * @queue: the queue
 */
bool sst_queue_is_stuck(struct sst_queue *queue)
{
	unsigned long flags;
	bool stuck;

	spin_lock_irqsave(&queue->lock, flags);
	stuck = sst_queue_has_only_zombies(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
	return stuck;
}

static u32 sst_queue_count(const struct list_head *list)
{
	struct list_head *item;
	u32 count = 0;

	list_for_each(item, list)
		count++;
	return count;
}

/**
 * sst_queue_wanted() - how many calls wait for an answer, or their latency
 * @queue: the queue
 */
u32 sst_queue_wanted(struct sst_queue *queue)
{
	unsigned long flags;
	u32 count;

	spin_lock_irqsave(&queue->lock, flags);
	count = sst_queue_count(&queue->in_flight) +
		sst_queue_count(&queue->delayed);
	spin_unlock_irqrestore(&queue->lock, flags);
	return count;
}

/**
 * sst_queue_outstanding() - the same, with those whose time is over
 * @queue: the queue
 */
u32 sst_queue_outstanding(struct sst_queue *queue)
{
	const u32 wanted = sst_queue_wanted(queue);
	unsigned long flags;
	u32 count;

	spin_lock_irqsave(&queue->lock, flags);
	count = sst_queue_count(&queue->zombies);
	spin_unlock_irqrestore(&queue->lock, flags);
	return wanted + count;
}
