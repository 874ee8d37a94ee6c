// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: requests on their way to the device
 */

#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mimic_uapi.h"
#include "vgpu_hw.h"
#include "vgpu_queue.h"
#include "vgpu_submit.h"

/* Requests that are copied before the first of them is sent; arbitrary. */
#define VGPU_SUBMIT_CHUNK 64

/* A prepared call is not submitted. */
static void vgpu_submit_forget(struct vgpu_call *call)
{
	list_del_init(&call->link);
	mimic_ledger_unreserve(call->entry.ledger);
	mimic_entry_put(&call->entry);
}

/**
 * vgpu_submit_has_room() - whether it is worth trying
 * @dev: the device
 */
bool vgpu_submit_has_room(const struct vgpu_device *dev)
{
	if (READ_ONCE(dev->failed))
		return true;
	return READ_ONCE(dev->running) && !READ_ONCE(dev->queue.full);
}

/* Tries once; the node's access is held for reading. */
static int vgpu_submit_try(struct vgpu_device *dev, struct list_head *calls)
{
	int ret;

	if (dev->base.gone)
		return -ENODEV;
	if (!dev->running)
		return dev->failed ? -EIO : -ENOSPC;
	ret = vgpu_queue_submit(dev, calls);
	if (ret > 0)
		vgpu_hw_kick(dev);
	return ret;
}

/*
 * Gives calls to the device; those that were taken leave the list. Returns how
 * many; or, if none was, -EAGAIN (no room), -ENODEV, -ERESTARTSYS, -ENOMEM, -EIO.
 */
static int vgpu_submit_calls(struct vgpu_file *file, struct list_head *calls,
			     bool nonblock)
{
	struct vgpu_device *dev = file->dev;
	int ret;

	for (;;) {
		if (!nonblock)
			down_read(&dev->base.access);
		else if (!down_read_trylock(&dev->base.access))
			return -EAGAIN;
		ret = vgpu_submit_try(dev, calls);
		up_read(&dev->base.access);
		if (ret != -ENOSPC)
			return ret;
		if (nonblock)
			return -EAGAIN;
		ret = wait_event_interruptible(dev->base.waitq,
					       vgpu_submit_has_room(dev) ||
						       vgpu_device_is_gone(dev));
		if (ret)
			return ret;
	}
}

/* Room in the file, and until when the answer may come. */
static int vgpu_submit_prepare(struct vgpu_file *file, struct vgpu_call *call,
			       u32 timeout_ms)
{
	if (!mimic_ledger_reserve(&file->ledger))
		return -EAGAIN;
	if (!timeout_ms)
		timeout_ms = READ_ONCE(file->timeout_ms);
	else if (timeout_ms == VGPU_NO_TIMEOUT)
		timeout_ms = 0;
	call->has_deadline = timeout_ms;
	call->deadline = jiffies + msecs_to_jiffies(timeout_ms);
	return 0;
}

/* Whether the sizes of a request are right for the device. */
static int vgpu_submit_check(const struct vgpu_file *file, size_t request,
			     size_t response)
{
	const u32 most = vgpu_device_max_bytes(file->dev);

	if (!request)
		return -EINVAL;
	return request > most || response > most ? -EMSGSIZE : 0;
}

static int vgpu_submit_fill(struct vgpu_file *file, struct vgpu_call *call,
			    const struct vgpu_submit *from)
{
	int ret = vgpu_submit_check(file, from->request_bytes,
				    from->response_bytes);

	if (ret)
		return ret;
	call->user_data = from->user_data;
	call->request_bytes = from->request_bytes;
	call->response_bytes = from->response_bytes;
	if (from->flags & VGPU_SUBMIT_MAPPED)
		return vgpu_call_in_buffer(call, file, from);
	if (from->buffer)
		return -EINVAL;
	call->user_response = u64_to_user_ptr(from->response);
	return vgpu_call_copy(call, file, u64_to_user_ptr(from->request));
}

/* Makes a prepared call of what user space says. */
static struct vgpu_call *vgpu_submit_call(struct vgpu_file *file,
					  const struct vgpu_submit *from,
					  u32 flags)
{
	struct vgpu_call *call;
	int ret;

	if (from->flags & ~flags)
		return ERR_PTR(-EINVAL);
	call = vgpu_call_new(file);
	if (!call)
		return ERR_PTR(-ENOMEM);
	ret = vgpu_submit_fill(file, call, from);
	if (!ret)
		ret = vgpu_submit_prepare(file, call, from->timeout_ms);
	if (!ret)
		return call;
	mimic_entry_put(&call->entry);
	return ERR_PTR(ret);
}

/* Submits one call, prepared. */
static int vgpu_submit_call_now(struct vgpu_file *file, struct vgpu_call *call,
				bool nonblock)
{
	LIST_HEAD(calls);
	int ret;

	list_add(&call->link, &calls);
	ret = vgpu_submit_calls(file, &calls, nonblock);
	if (ret < 0)
		vgpu_submit_forget(call);
	return ret < 0 ? ret : 0;
}

/**
 * vgpu_submit_write() - write()
 * @file: open
 * @buf: a request
 * @count: its bytes
 * @nonblock: of the file
 *
 * Return: @count, or a negative errno.
 */
ssize_t vgpu_submit_write(struct vgpu_file *file, const char __user *buf,
			  size_t count, bool nonblock)
{
	const u32 room = READ_ONCE(file->response_bytes);
	struct vgpu_submit submit = {
		.request = (unsigned long)buf,
		.response_bytes = room,
	};
	struct vgpu_call *call;
	int ret = vgpu_submit_check(file, count, room);

	if (ret)
		return ret;
	submit.request_bytes = count;
	call = vgpu_submit_call(file, &submit, 0);
	if (IS_ERR(call))
		return PTR_ERR(call);
	ret = vgpu_submit_call_now(file, call, nonblock);
	return ret ? ret : (ssize_t)count;
}

/**
 * vgpu_submit_one() - VGPU_IOC_SUBMIT
 * @file: open
 * @submit: from user space, and back
 * @nonblock: of the file
 *
 * Return: 0 or a negative errno.
 */
int vgpu_submit_one(struct vgpu_file *file, struct vgpu_submit *submit,
		    bool nonblock)
{
	struct vgpu_call *call;
	int ret;

	call = vgpu_submit_call(file, submit,
				VGPU_SUBMIT_NONBLOCK | VGPU_SUBMIT_MAPPED);
	if (IS_ERR(call))
		return PTR_ERR(call);
	submit->cookie = call->entry.id;
	ret = vgpu_submit_call_now(file, call,
				   nonblock ||
					   submit->flags & VGPU_SUBMIT_NONBLOCK);
	return ret;
}

/* Tells user space the cookies of entries that are about to be submitted. */
static int vgpu_submit_tell(const struct vgpu_batch *batch, u32 index,
			    const struct vgpu_call *call)
{
	u8 __user *entry = u64_to_user_ptr(batch->entries +
					   (u64)index * batch->entry_size);

	return put_user(call->entry.id,
			(u64 __user *)(entry + offsetof(struct vgpu_submit,
							cookie)));
}

/*
 * Submits the next entries of a batch with one doorbell. Returns how many were
 * taken, or why not even the first was; @more says that the next can be tried.
 */
static int vgpu_submit_chunk(struct vgpu_file *file,
			     const struct vgpu_batch *batch,
			     const struct vgpu_submit *entries, u32 first,
			     bool nonblock, bool *more)
{
	const u32 count = min_t(u32, batch->count - first, VGPU_SUBMIT_CHUNK);
	struct vgpu_call *call;
	LIST_HEAD(calls);
	u32 made;
	int ret = 0;

	for (made = 0; made < count; made++) {
		call = vgpu_submit_call(file, &entries[first + made],
					VGPU_SUBMIT_MAPPED);
		if (IS_ERR(call)) {
			ret = PTR_ERR(call);
			break;
		}
		list_add_tail(&call->link, &calls);
		ret = vgpu_submit_tell(batch, first + made, call);
		if (ret) {
			vgpu_submit_forget(call);
			break;
		}
	}
	if (made)
		ret = vgpu_submit_calls(file, &calls, nonblock);
	*more = ret == (int)count;
	while (!list_empty(&calls))
		vgpu_submit_forget(list_first_entry(&calls, struct vgpu_call,
						    link));
	return ret;
}

/* The entries of a batch, checked. */
static struct vgpu_submit *vgpu_submit_entries(const struct vgpu_batch *batch)
{
	if (batch->flags & ~VGPU_SUBMIT_NONBLOCK || !batch->count ||
	    batch->count > VGPU_MAX_BATCH || batch->reserved)
		return ERR_PTR(-EINVAL);
	return mimic_copy_array(u64_to_user_ptr(batch->entries), batch->count,
				batch->entry_size, sizeof(struct vgpu_submit),
				offsetofend(struct vgpu_submit, cookie));
}

/**
 * vgpu_submit_batch() - VGPU_IOC_BATCH
 * @file: open
 * @batch: from user space, and back
 * @nonblock: of the file
 *
 * Return: 0, with the number taken in @batch; or a negative errno.
 */
int vgpu_submit_batch(struct vgpu_file *file, struct vgpu_batch *batch,
		      bool nonblock)
{
	struct vgpu_submit *entries = vgpu_submit_entries(batch);
	bool more = true;
	u32 done = 0;
	int ret = 0;

	if (IS_ERR(entries))
		return PTR_ERR(entries);
	nonblock = nonblock || batch->flags & VGPU_SUBMIT_NONBLOCK;
	while (more && done < batch->count) {
		/* Only the first may wait: what is taken is taken. */
		ret = vgpu_submit_chunk(file, batch, entries, done,
					nonblock || done, &more);
		if (ret <= 0)
			break;
		done += ret;
	}
	kvfree(entries);
	batch->submitted = done;
	return done ? 0 : ret;
}
