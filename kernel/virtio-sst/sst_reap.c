// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: answers and events on their way to user space
 */

#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "sst_event.h"
#include "sst_reap.h"

/* Whether a wait for an answer is over, or never would be. */
static bool sst_reap_is_ready(const struct sst_file *file)
{
	return mimic_ledger_has_done(&file->ledger) ||
	       !mimic_ledger_has_pending(&file->ledger);
}

/*
 * The next answer. None, and none will come: -EAGAIN, or -ENODEV without a
 * device.
 */
static struct sst_call *sst_reap_next(struct sst_file *file, bool nonblock)
{
	struct mimic_entry *entry;
	int ret;

	for (;;) {
		entry = mimic_ledger_take(&file->ledger);
		if (entry)
			return to_sst_call(entry);
		if (!mimic_ledger_has_pending(&file->ledger)) {
			/* The last one may have been answered since. */
			entry = mimic_ledger_take(&file->ledger);
			if (entry)
				return to_sst_call(entry);
			return ERR_PTR(sst_device_is_gone(file->dev) ? -ENODEV :
								       -EAGAIN);
		}
		if (nonblock)
			return ERR_PTR(-EAGAIN);
		ret = wait_event_interruptible(file->waitq,
					       sst_reap_is_ready(file));
		if (ret)
			return ERR_PTR(ret);
	}
}

/* Copies what the device wrote of a mapped response, and zeros, to @response. */
static int sst_reap_mapped(const struct sst_call *call, u8 __user *response)
{
	u64 offset = call->response_offset;
	u32 left = call->used;

	while (left) {
		const u32 part = min_t(u32, left,
				       PAGE_SIZE - offset_in_page(offset));

		if (copy_to_user(response, sst_buffer_at(call->buffer, offset),
				 part))
			return -EFAULT;
		response += part;
		offset += part;
		left -= part;
	}
	return clear_user(response, sizeof(struct SSTResponse) - call->used) ?
		       -EFAULT :
		       0;
}

/* read() of events. */
static ssize_t sst_reap_read_events(struct sst_file *file, char __user *buf,
				    size_t count, bool nonblock)
{
	struct sst_events events = {
		.count = count / sizeof(struct SSTEvent),
		.events = (unsigned long)buf,
	};
	int ret = sst_reap_events(file, &events, nonblock);

	return ret ? ret : events.taken * sizeof(struct SSTEvent);
}

/**
 * sst_reap_read() - read()
 * @file: open
 * @buf: where to
 * @count: a response's size or more: one response; less, of a subscriber:
 *	events
 * @nonblock: of the file
 *
 * As Linux SST's driver: without an answer -EAGAIN, and then too small is
 * -EINVAL; but what is in flight is waited for.
 */
ssize_t sst_reap_read(struct sst_file *file, char __user *buf, size_t count,
		      bool nonblock)
{
	struct sst_call *call;
	ssize_t ret;

	if (count < sizeof(struct SSTResponse)) {
		if (count >= sizeof(struct SSTEvent) &&
		    sst_events_is_subscribed(file))
			return sst_reap_read_events(file, buf, count, nonblock);
		return sst_reap_is_ready(file) &&
				       !mimic_ledger_has_done(&file->ledger) ?
			       -EAGAIN :
			       -EINVAL;
	}
	call = sst_reap_next(file, nonblock);
	if (IS_ERR(call))
		return PTR_ERR(call);
	ret = call->entry.error;
	if (!ret && call->buffer)
		ret = sst_reap_mapped(call, buf);
	else if (!ret)
		ret = sst_call_to_user(call, buf);
	mimic_entry_put(&call->entry);
	return ret ? ret : sizeof(struct SSTResponse);
}

static void sst_reap_fill(struct sst_completion *completion,
			  const struct sst_call *call)
{
	memset(completion, 0, sizeof(*completion));
	completion->user_data = call->user_data;
	completion->request_id = call->id;
	completion->wall_ns =
		ktime_to_ns(ktime_sub(call->answered, call->submitted));
	completion->buffer = call->buffer ? call->buffer->handle : 0;
	completion->response = call->response_offset;
	completion->error = call->entry.error;
	if (completion->error)
		return;
	completion->status = call->status;
	completion->result = call->result;
	completion->response_bytes = call->used;
	completion->latency_ns = call->timing.latency;
	completion->finished_ns = call->timing.finished;
}

/* Gives one answer to user space, as element @index. */
static int sst_reap_one(const struct sst_reap *reap, u32 index,
			const struct sst_call *call)
{
	const u32 size = min_t(u32, reap->completion_size,
			       sizeof(struct sst_completion));
	struct sst_completion completion;
	u8 __user *place;

	sst_reap_fill(&completion, call);
	place = u64_to_user_ptr(reap->completions +
				(u64)index * reap->completion_size);
	if (copy_to_user(place, &completion, size) ||
	    clear_user(place + size, reap->completion_size - size))
		return -EFAULT;
	if (!reap->responses || call->buffer || completion.error)
		return 0;
	place = u64_to_user_ptr(reap->responses +
				(u64)index * sizeof(struct SSTResponse));
	return sst_call_to_user(call, place);
}

/**
 * sst_reap_many() - SST_IOC_REAP
 * @file: open
 * @reap: from user space
 * @nonblock: of the file
 *
 * Return: 0, with the number in @reap; or a negative errno if there is none.
 */
int sst_reap_many(struct sst_file *file, struct sst_reap *reap, bool nonblock)
{
	struct sst_call *call;
	u32 done = 0;
	int ret = 0;

	if (reap->flags & ~SST_REAP_NONBLOCK || !reap->count ||
	    reap->count > SST_MAX_BATCH || reap->min_count > reap->count)
		return -EINVAL;
	if (reap->completion_size < offsetofend(struct sst_completion,
						finished_ns) ||
	    reap->completion_size > PAGE_SIZE)
		return -EINVAL;
	nonblock = nonblock || reap->flags & SST_REAP_NONBLOCK;
	while (!ret && done < reap->count) {
		/* One is always waited for. */
		call = sst_reap_next(file, nonblock ||
					   (done && done >= reap->min_count));
		if (IS_ERR(call)) {
			ret = PTR_ERR(call);
			break;
		}
		ret = sst_reap_one(reap, done, call);
		mimic_entry_put(&call->entry);
		done += !ret;
	}
	reap->reaped = done;
	return done ? 0 : ret;
}

/* Waits until an event is there. */
static int sst_reap_wait_event(struct sst_file *file)
{
	int ret = wait_event_interruptible(file->waitq,
					   sst_events_are_there(file) ||
						   sst_device_is_gone(file->dev));

	if (!ret && !sst_events_are_there(file))
		ret = -ENODEV;
	return ret;
}

static int sst_reap_take_events(struct sst_file *file,
				struct sst_events *events)
{
	struct SSTEvent __user *place = u64_to_user_ptr(events->events);
	struct SSTEvent event;

	while (events->taken < events->count && sst_events_take(file, &event)) {
		if (copy_to_user(place + events->taken, &event, sizeof(event)))
			return events->taken ? 0 : -EFAULT;
		events->taken++;
	}
	return 0;
}

/**
 * sst_reap_events() - SST_IOC_EVENTS
 * @file: open
 * @events: from user space
 * @nonblock: of the file
 *
 * Return: 0 or a negative errno.
 */
int sst_reap_events(struct sst_file *file, struct sst_events *events,
		    bool nonblock)
{
	const u32 known = SST_EVENTS_SUBSCRIBE | SST_EVENTS_UNSUBSCRIBE |
			  SST_EVENTS_NONBLOCK;
	int ret = 0;

	if (events->flags & ~known)
		return -EINVAL;
	if (!file->dev->events.buffers)
		return -EOPNOTSUPP;
	if (events->flags & SST_EVENTS_SUBSCRIBE)
		sst_events_subscribe(file);
	events->taken = 0;
	nonblock = nonblock || events->flags & SST_EVENTS_NONBLOCK;
	while (events->count && !events->taken && !ret) {
		if (!sst_events_is_subscribed(file))
			return -ENXIO;
		ret = sst_reap_take_events(file, events);
		if (ret || events->taken)
			break;
		ret = nonblock ? -EAGAIN : sst_reap_wait_event(file);
	}
	events->lost = READ_ONCE(file->events.lost);
	if (!ret && events->flags & SST_EVENTS_UNSUBSCRIBE)
		sst_events_unsubscribe(file);
	return ret;
}
