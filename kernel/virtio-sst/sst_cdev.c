// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: character device
 */

/**
 * DOC: /dev/sstN
 *
 * A file that is opened as Linux SST's programs open it behaves as Linux SST's
 * driver: write() sends one request and returns when it is answered, or with
 * -ETIMEDOUT; read() gives the answer; without one it is -EAGAIN. What that
 * leaves open: a signal ends the wait of write() but not the request, and
 * read() waits for it; answers that nobody reads are dropped, the oldest first,
 * when there are too many.
 *
 * With O_NONBLOCK write() returns at once, and the file has many requests in
 * flight. Those submitted by ioctl and io_uring are as many in any file.
 */

#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>

#include "mimic_uapi.h"
#include "sst_cdev.h"
#include "sst_event.h"
#include "sst_file.h"
#include "sst_reap.h"
#include "sst_submit.h"
#include "sst_uring.h"

/* What user space and the device know may grow, but never by accident. */
static_assert(sizeof(struct SSTRequest) == 4104);
static_assert(sizeof(struct SSTResponse) == 4112);
static_assert(sizeof(struct SSTEvent) == 24);
static_assert(sizeof(struct SSTConfig) == 24);
static_assert(sizeof(struct sst_info) == 40);
static_assert(sizeof(struct sst_batch) == 32);
static_assert(sizeof(struct sst_batch_entry) == 32);
static_assert(sizeof(struct sst_reap) == 40);
static_assert(sizeof(struct sst_completion) == 72);
static_assert(sizeof(struct sst_events) == 32);
static_assert(sizeof(struct sst_buffer_create) == 24);
static_assert(sizeof(struct sst_buffer_destroy) == 8);
static_assert(sizeof(struct sst_timeout) == 8);
static_assert(sizeof(struct sst_uring_request) == 16);

static bool sst_cdev_is_nonblock(const struct file *filp)
{
	return filp->f_flags & O_NONBLOCK;
}

static int sst_cdev_open(struct inode *inode, struct file *filp)
{
	struct sst_device *dev =
		container_of(inode->i_cdev, struct sst_device, base.cdev);
	struct sst_file *file = sst_file_new(dev);
	int ret;

	if (!file)
		return -ENOMEM;
	ret = mimic_node_join(&dev->base, &file->base);
	if (ret) {
		sst_file_close(file);
		return ret;
	}
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static void sst_cdev_leave(struct mimic_node_file *base)
{
	sst_events_unsubscribe(container_of(base, struct sst_file, base));
}

static int sst_cdev_release(struct inode *inode, struct file *filp)
{
	struct sst_file *file = filp->private_data;

	mimic_node_leave(&file->base, sst_cdev_leave);
	sst_file_close(file);
	return 0;
}

/* Reserves room; a file that blocks drops an answer that nobody has read. */
static int sst_cdev_prepare(struct sst_file *file, struct sst_call *call,
			    bool nonblock)
{
	int ret = sst_submit_prepare(file, call);
	struct mimic_entry *unread;

	while (ret == -EAGAIN && !nonblock) {
		unread = mimic_ledger_take(&file->ledger);
		if (!unread)
			break;
		mimic_entry_put(unread);
		ret = sst_submit_prepare(file, call);
	}
	return ret;
}

/* Waits for the answer to @call, of which the caller has a reference. */
static int sst_cdev_wait(struct sst_file *file, struct sst_call *call)
{
	int error;

	/* A signal: the request was written, and read() waits for the rest. */
	if (wait_event_interruptible(file->waitq,
				     mimic_entry_is_settled(&call->entry)))
		return 0;
	error = call->entry.error;
	if (error)
		mimic_entry_withdraw(&call->entry);
	return error;
}

static ssize_t sst_cdev_write(struct file *filp, const char __user *buf,
			      size_t count, loff_t *pos)
{
	const bool nonblock = sst_cdev_is_nonblock(filp);
	struct sst_file *file = filp->private_data;
	struct sst_call *call;
	LIST_HEAD(calls);
	int ret;

	if (count < sizeof(struct SSTRequest))
		return -EINVAL;
	call = sst_call_new(file);
	if (!call)
		return -ENOMEM;
	ret = sst_call_copy(call, file->dev, buf, sizeof(struct SSTRequest));
	if (!ret)
		ret = sst_cdev_prepare(file, call, nonblock);
	if (ret) {
		mimic_entry_put(&call->entry);
		return ret;
	}
	mimic_entry_get(&call->entry);
	list_add(&call->link, &calls);
	ret = sst_submit_calls(file, &calls, SST_ANY_QUEUE, nonblock);
	if (ret < 0)
		sst_submit_forget(call);
	else
		ret = nonblock ? 0 : sst_cdev_wait(file, call);
	mimic_entry_put(&call->entry);
	return ret ? ret : sizeof(struct SSTRequest);
}

static ssize_t sst_cdev_read(struct file *filp, char __user *buf, size_t count,
			     loff_t *pos)
{
	return sst_reap_read(filp->private_data, buf, count,
			     sst_cdev_is_nonblock(filp));
}

static __poll_t sst_cdev_poll(struct file *filp, poll_table *wait)
{
	struct sst_file *file = filp->private_data;
	struct sst_device *dev = file->dev;
	__poll_t mask = 0;

	poll_wait(filp, &file->waitq, wait);
	poll_wait(filp, &dev->base.waitq, wait);
	if (mimic_ledger_has_done(&file->ledger))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (sst_events_are_there(file))
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLPRI;
	if (sst_device_is_gone(dev))
		return mask | EPOLLERR | EPOLLHUP;
	if (sst_submit_has_room(dev, SST_ANY_QUEUE) && !mimic_ledger_is_full(&file->ledger))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

static int sst_cdev_info(void *context, void *argument)
{
	struct file *filp = context;
	struct sst_file *file = filp->private_data;
	struct sst_device *dev = file->dev;
	struct sst_info *info = argument;
	int ret = -ENODEV;

	if (info->flags)
		return -EINVAL;
	*info = (struct sst_info){
		.flags = (dev->lock_step ? SST_INFO_LOCK_STEP : 0) |
			 (dev->timing ? SST_INFO_TIMING : 0),
		.version = dev->config.version,
		.device_id = dev->config.device_id,
		.features = dev->features,
		.queue_pairs = dev->queue_count,
		.max_in_flight = file->ledger.limit,
		.timeout_ms = READ_ONCE(file->timeout_ms),
	};
	down_read(&dev->base.access);
	if (dev->base.gone)
		ret = -ENODEV;
	else if (!dev->running)
		ret = -EAGAIN;
	else
		ret = 0;
	if (!ret)
		info->queue_entries =
			virtqueue_get_vring_size(dev->queues[0].vq);
	up_read(&dev->base.access);
	return ret;
}

static int sst_cdev_submit(void *context, void *argument)
{
	struct file *filp = context;

	return sst_submit_batch(filp->private_data, argument,
				sst_cdev_is_nonblock(filp));
}

static int sst_cdev_reap(void *context, void *argument)
{
	struct file *filp = context;

	return sst_reap_many(filp->private_data, argument,
			     sst_cdev_is_nonblock(filp));
}

static int sst_cdev_events(void *context, void *argument)
{
	struct file *filp = context;

	return sst_reap_events(filp->private_data, argument,
			       sst_cdev_is_nonblock(filp));
}

static int sst_cdev_buffer_create(void *context, void *argument)
{
	struct file *filp = context;

	return sst_buffer_create(filp->private_data, argument);
}

static int sst_cdev_buffer_destroy(void *context, void *argument)
{
	struct file *filp = context;

	return sst_buffer_destroy(filp->private_data, argument);
}

static int sst_cdev_timeout(void *context, void *argument)
{
	const struct sst_timeout *timeout = argument;
	struct file *filp = context;
	struct sst_file *file = filp->private_data;

	WRITE_ONCE(file->timeout_ms, timeout->timeout_ms);
	return 0;
}

/* Number, function, structure, last field of its first version, replies. */
static const struct mimic_ioctl sst_ioctls[] = {
	MIMIC_IOCTL(SST_IOC_INFO, sst_cdev_info, struct sst_info, timeout_ms,
		    true),
	MIMIC_IOCTL(SST_IOC_SUBMIT, sst_cdev_submit, struct sst_batch,
		    submitted, true),
	MIMIC_IOCTL(SST_IOC_REAP, sst_cdev_reap, struct sst_reap, reaped,
		    true),
	MIMIC_IOCTL(SST_IOC_EVENTS, sst_cdev_events, struct sst_events, lost,
		    true),
	MIMIC_IOCTL(SST_IOC_BUFFER_CREATE, sst_cdev_buffer_create,
		    struct sst_buffer_create, mmap_offset, true),
	MIMIC_IOCTL(SST_IOC_BUFFER_DESTROY, sst_cdev_buffer_destroy,
		    struct sst_buffer_destroy, handle, false),
	MIMIC_IOCTL(SST_IOC_TIMEOUT, sst_cdev_timeout, struct sst_timeout,
		    timeout_ms, false),
};

static long sst_cdev_ioctl(struct file *filp, unsigned int cmd,
			   unsigned long arg)
{
	return mimic_ioctl_run(sst_ioctls, ARRAY_SIZE(sst_ioctls), filp, cmd,
			       (void __user *)arg);
}

/* Of all nodes. */
const struct file_operations sst_fops = {
	.owner = THIS_MODULE,
	.open = sst_cdev_open,
	.release = sst_cdev_release,
	.read = sst_cdev_read,
	.write = sst_cdev_write,
	.poll = sst_cdev_poll,
	.mmap = sst_buffer_mmap,
	.unlocked_ioctl = sst_cdev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
#ifdef SST_HAS_URING
	.uring_cmd = sst_uring_cmd,
#endif
};
