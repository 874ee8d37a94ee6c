// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: requests on their way to the device
 */

#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mimic_uapi.h"
#include "sst_answer.h"
#include "sst_event.h"
#include "sst_queue.h"
#include "sst_submit.h"

/* Requests that are copied before the first of them is sent; arbitrary. */
#define SST_SUBMIT_CHUNK 64

/**
 * sst_submit_prepare() - what a call needs before it can be submitted
 * @file: open
 * @call: new, with a request
 *
 * Return: 0; -EAGAIN if the file has as many as it may.
 */
int sst_submit_prepare(struct sst_file *file, struct sst_call *call)
{
	const u32 timeout_ms = READ_ONCE(file->timeout_ms);

	if (!mimic_ledger_reserve(&file->ledger))
		return -EAGAIN;
	call->has_deadline = timeout_ms;
	call->deadline = jiffies + msecs_to_jiffies(timeout_ms);
	return 0;
}

/**
 * sst_submit_forget() - a prepared call is not submitted
 * @call: its reference is given back
 */
void sst_submit_forget(struct sst_call *call)
{
	list_del_init(&call->link);
	mimic_ledger_unreserve(call->entry.ledger);
	mimic_entry_put(&call->entry);
}

/**
 * sst_submit_has_room() - whether it is worth trying
 * @dev: the device
 * @queue: a queue's number, or SST_ANY_QUEUE
 */
bool sst_submit_has_room(const struct sst_device *dev, u32 queue)
{
	u32 i;

	if (READ_ONCE(dev->failed))
		return true;
	if (!READ_ONCE(dev->running))
		return false;
	for (i = 0; i < dev->queue_count; i++)
		if ((queue == SST_ANY_QUEUE || queue == i) &&
		    !READ_ONCE(dev->queues[i].full))
			return true;
	return false;
}

/* Tries @queue, or that of this CPU and then all others. */
static int sst_submit_try(struct sst_device *dev, struct list_head *calls,
			  u32 queue)
{
	const u32 count = dev->queue_count;
	const u32 first = queue == SST_ANY_QUEUE ?
				  raw_smp_processor_id() % count :
				  array_index_nospec(queue, count);
	u32 i;
	int ret;

	for (i = 0; i < count; i++) {
		ret = sst_queue_submit(&dev->queues[(first + i) % count],
				       calls);
		if (ret != -ENOSPC || queue != SST_ANY_QUEUE)
			break;
	}
	if (dev->lock_step)
		sst_events_collect(dev);
	return ret;
}

/**
 * sst_submit_calls() - give calls to the device
 * @file: open
 * @calls: prepared; those that were taken leave it
 * @queue: a queue's number, or SST_ANY_QUEUE
 * @nonblock: do not wait for room
 *
 * Context: may sleep; no lock is held.
 * Return: how many were taken; or, if none was, -EAGAIN (no room), -ETIMEDOUT
 * (none for as long as a request may take), -ENODEV, -ERESTARTSYS, -ENOMEM,
 * -EIO.
 */
int sst_submit_calls(struct sst_file *file, struct list_head *calls, u32 queue,
		     bool nonblock)
{
	const u32 timeout_ms = READ_ONCE(file->timeout_ms);
	long left = timeout_ms ? msecs_to_jiffies(timeout_ms) :
				 MAX_SCHEDULE_TIMEOUT;
	struct sst_device *dev = file->dev;
	int ret;

	for (;;) {
		if (!nonblock)
			down_read(&dev->base.access);
		else if (!down_read_trylock(&dev->base.access))
			return -EAGAIN;
		if (dev->base.gone)
			ret = -ENODEV;
		else if (!dev->running)
			ret = dev->failed ? -EIO : -ENOSPC;
		else
			ret = sst_submit_try(dev, calls, queue);
		up_read(&dev->base.access);
		if (ret != -ENOSPC)
			return ret;
		if (nonblock)
			return -EAGAIN;
		left = wait_event_interruptible_timeout(
			dev->base.waitq,
			sst_submit_has_room(dev, queue) ||
				sst_device_is_gone(dev),
			left);
		if (left <= 0)
			return left ? left : -ETIMEDOUT;
	}
}

/* The entries of a batch, checked. */
static struct sst_batch_entry *sst_submit_entries(struct sst_file *file,
						  const struct sst_batch *batch)
{
	const u32 known = SST_BATCH_NONBLOCK | SST_BATCH_QUEUE;

	if (batch->flags & ~known || !batch->count ||
	    batch->count > SST_MAX_BATCH)
		return ERR_PTR(-EINVAL);
	if (batch->flags & SST_BATCH_QUEUE &&
	    batch->queue >= file->dev->queue_count)
		return ERR_PTR(-EINVAL);
	return mimic_copy_array(u64_to_user_ptr(batch->entries), batch->count,
				batch->entry_size,
				sizeof(struct sst_batch_entry),
				offsetofend(struct sst_batch_entry, buffer));
}

/* Makes a call of an entry of a batch. */
static struct sst_call *sst_submit_call(struct sst_file *file,
					const struct sst_batch_entry *from)
{
	struct sst_call *call;
	int ret;

	if (from->flags & ~SST_ENTRY_MAPPED)
		return ERR_PTR(-EINVAL);
	if (from->request_bytes < SST_REQUEST_HEADER_SIZE ||
	    from->request_bytes > sizeof(struct SSTRequest))
		return ERR_PTR(-EINVAL);
	call = sst_call_new(file);
	if (!call)
		return ERR_PTR(-ENOMEM);
	if (from->flags & SST_ENTRY_MAPPED)
		ret = sst_call_map(call, file, from);
	else
		ret = sst_call_copy(call, file->dev,
				    u64_to_user_ptr(from->request),
				    from->request_bytes);
	if (!ret)
		ret = sst_submit_prepare(file, call);
	if (!ret)
		return call;
	mimic_entry_put(&call->entry);
	return ERR_PTR(ret);
}

/*
 * Submits the next entries of a batch with one kick. Returns how many were
 * taken, or why not even the first was; @more says that the next can be tried.
 */
static int sst_submit_chunk(struct sst_file *file,
			    const struct sst_batch_entry *entries, u32 count,
			    u32 queue, bool nonblock, bool *more)
{
	LIST_HEAD(calls);
	struct sst_call *call = NULL;
	u32 made;
	int ret = 0;

	for (made = 0; made < count; made++) {
		call = sst_submit_call(file, &entries[made]);
		if (IS_ERR(call)) {
			ret = PTR_ERR(call);
			break;
		}
		list_add_tail(&call->link, &calls);
	}
	*more = made == count;
	if (made)
		ret = sst_submit_calls(file, &calls, queue, nonblock);
	if (ret != (int)made)
		*more = false;
	while (!list_empty(&calls))
		sst_submit_forget(list_first_entry(&calls, struct sst_call,
						   link));
	return ret;
}

/**
 * sst_submit_batch() - SST_IOC_SUBMIT
 * @file: open
 * @batch: from user space
 * @nonblock: of the file
 *
 * Return: 0, with the number taken in @batch; or a negative errno.
 */
int sst_submit_batch(struct sst_file *file, struct sst_batch *batch,
		     bool nonblock)
{
	const u32 queue = batch->flags & SST_BATCH_QUEUE ? batch->queue :
							   SST_ANY_QUEUE;
	struct sst_batch_entry *entries = sst_submit_entries(file, batch);
	bool more = true;
	u32 done = 0;
	int ret = 0;

	if (IS_ERR(entries))
		return PTR_ERR(entries);
	nonblock = nonblock || batch->flags & SST_BATCH_NONBLOCK;
	while (more && done < batch->count) {
		const u32 count = min_t(u32, batch->count - done,
					SST_SUBMIT_CHUNK);

		/* Only the first may wait: what is taken is taken. */
		ret = sst_submit_chunk(file, entries + done, count, queue,
				       nonblock || done, &more);
		if (ret <= 0)
			break;
		done += ret;
	}
	kvfree(entries);
	batch->submitted = done;
	return done ? 0 : ret;
}
