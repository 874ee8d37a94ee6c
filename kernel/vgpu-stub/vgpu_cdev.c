// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: character device
 */

/**
 * DOC: /dev/vgpuN
 *
 * write() sends the bytes of one request (struct vgpu_request and what follows
 * it) and returns when it is on its way; read() waits for the next answer and
 * gives its bytes. A file has many requests in flight, by write(), by
 * VGPU_IOC_SUBMIT or in batches; answers come in the order in which the device
 * gives them, to whom asks first. With O_NONBLOCK nothing waits, and poll()
 * says when there is an answer or room.
 */

#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>

#include "mimic_uapi.h"
#include "vgpu_buffer.h"
#include "vgpu_cdev.h"
#include "vgpu_file.h"
#include "vgpu_submit.h"
#include "vgpu_wait.h"

/* What user space and the device know may grow, but never by accident. */
static_assert(sizeof(struct vgpu_request) == 32);
static_assert(sizeof(struct vgpu_response) == 32);
static_assert(sizeof(struct vgpu_info) == 56);
static_assert(sizeof(struct vgpu_submit) == 56);
static_assert(sizeof(struct vgpu_batch) == 32);
static_assert(sizeof(struct vgpu_completion) == 56);
static_assert(sizeof(struct vgpu_wait) == 48);
static_assert(sizeof(struct vgpu_buffer_create) == 24);
static_assert(sizeof(struct vgpu_buffer_destroy) == 8);
static_assert(sizeof(struct vgpu_settings) == 16);

static bool vgpu_cdev_is_nonblock(const struct file *filp)
{
	return filp->f_flags & O_NONBLOCK;
}

static int vgpu_cdev_open(struct inode *inode, struct file *filp)
{
	struct vgpu_device *dev =
		container_of(inode->i_cdev, struct vgpu_device, base.cdev);
	struct vgpu_file *file = vgpu_file_new(dev);
	int ret;

	if (!file)
		return -ENOMEM;
	ret = mimic_node_join(&dev->base, &file->base);
	if (ret) {
		vgpu_file_close(file);
		return ret;
	}
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

/* Nothing of a file needs the device to be there. */
static void vgpu_cdev_leave(struct mimic_node_file *base)
{
}

static int vgpu_cdev_release(struct inode *inode, struct file *filp)
{
	struct vgpu_file *file = filp->private_data;

	mimic_node_leave(&file->base, vgpu_cdev_leave);
	vgpu_file_close(file);
	return 0;
}

static ssize_t vgpu_cdev_write(struct file *filp, const char __user *buf,
			       size_t count, loff_t *pos)
{
	return vgpu_submit_write(filp->private_data, buf, count,
				 vgpu_cdev_is_nonblock(filp));
}

static ssize_t vgpu_cdev_read(struct file *filp, char __user *buf, size_t count,
			      loff_t *pos)
{
	return vgpu_wait_read(filp->private_data, buf, count,
			      vgpu_cdev_is_nonblock(filp));
}

static __poll_t vgpu_cdev_poll(struct file *filp, poll_table *wait)
{
	struct vgpu_file *file = filp->private_data;
	struct vgpu_device *dev = file->dev;
	__poll_t mask = 0;

	poll_wait(filp, &file->waitq, wait);
	poll_wait(filp, &dev->base.waitq, wait);
	if (mimic_ledger_has_done(&file->ledger))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (vgpu_device_is_gone(dev))
		return mask | EPOLLERR | EPOLLHUP;
	if (vgpu_submit_has_room(dev) && !mimic_ledger_is_full(&file->ledger))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

static int vgpu_cdev_info(void *context, void *argument)
{
	struct file *filp = context;
	struct vgpu_file *file = filp->private_data;
	struct vgpu_device *dev = file->dev;
	struct vgpu_info *info = argument;

	if (info->flags || info->reserved)
		return -EINVAL;
	if (vgpu_device_is_gone(dev))
		return -ENODEV;
	*info = (struct vgpu_info){
		.flags = (READ_ONCE(dev->vectors) ? VGPU_INFO_INTERRUPTS : 0) |
			 (dev->msix ? VGPU_INFO_MSIX : 0),
		.protocol_version = dev->ident.protocol_version,
		.capabilities = dev->ident.capabilities,
		.vm_id = dev->ident.vm_id,
		.pool_id = dev->ident.pool_id,
		.priority = dev->ident.priority,
		.mode = dev->mode,
		.ring_entries = dev->ring_entries,
		.max_in_flight = file->ledger.limit,
		.max_bytes = vgpu_device_max_bytes(dev),
		.timeout_ms = READ_ONCE(file->timeout_ms),
		.response_bytes = READ_ONCE(file->response_bytes),
	};
	return 0;
}

static int vgpu_cdev_submit(void *context, void *argument)
{
	struct file *filp = context;

	return vgpu_submit_one(filp->private_data, argument,
			       vgpu_cdev_is_nonblock(filp));
}

static int vgpu_cdev_batch(void *context, void *argument)
{
	struct file *filp = context;

	return vgpu_submit_batch(filp->private_data, argument,
				 vgpu_cdev_is_nonblock(filp));
}

static int vgpu_cdev_wait(void *context, void *argument)
{
	struct file *filp = context;

	return vgpu_wait_many(filp->private_data, argument,
			      vgpu_cdev_is_nonblock(filp));
}

static int vgpu_cdev_buffer_create(void *context, void *argument)
{
	struct file *filp = context;

	return vgpu_buffer_create(filp->private_data, argument);
}

static int vgpu_cdev_buffer_destroy(void *context, void *argument)
{
	struct file *filp = context;

	return vgpu_buffer_destroy(filp->private_data, argument);
}

static int vgpu_cdev_settings(void *context, void *argument)
{
	const struct vgpu_settings *settings = argument;
	struct file *filp = context;
	struct vgpu_file *file = filp->private_data;

	if (settings->reserved)
		return -EINVAL;
	if (settings->response_bytes > vgpu_device_max_bytes(file->dev))
		return -EMSGSIZE;
	WRITE_ONCE(file->timeout_ms, settings->timeout_ms);
	WRITE_ONCE(file->response_bytes, settings->response_bytes);
	return 0;
}

/* Number, function, structure, last field of its first version, replies. */
static const struct mimic_ioctl vgpu_ioctls[] = {
	MIMIC_IOCTL(VGPU_IOC_INFO, vgpu_cdev_info, struct vgpu_info, reserved,
		    true),
	MIMIC_IOCTL(VGPU_IOC_SUBMIT, vgpu_cdev_submit, struct vgpu_submit,
		    cookie, true),
	MIMIC_IOCTL(VGPU_IOC_WAIT, vgpu_cdev_wait, struct vgpu_wait, reaped,
		    true),
	MIMIC_IOCTL(VGPU_IOC_BATCH, vgpu_cdev_batch, struct vgpu_batch,
		    reserved, true),
	MIMIC_IOCTL(VGPU_IOC_BUFFER_CREATE, vgpu_cdev_buffer_create,
		    struct vgpu_buffer_create, mmap_offset, true),
	MIMIC_IOCTL(VGPU_IOC_BUFFER_DESTROY, vgpu_cdev_buffer_destroy,
		    struct vgpu_buffer_destroy, handle, false),
	MIMIC_IOCTL(VGPU_IOC_SETTINGS, vgpu_cdev_settings, struct vgpu_settings,
		    reserved, false),
};

static long vgpu_cdev_ioctl(struct file *filp, unsigned int cmd,
			    unsigned long arg)
{
	return mimic_ioctl_run(vgpu_ioctls, ARRAY_SIZE(vgpu_ioctls), filp, cmd,
			       (void __user *)arg);
}

/* Of all nodes. */
const struct file_operations vgpu_fops = {
	.owner = THIS_MODULE,
	.open = vgpu_cdev_open,
	.release = vgpu_cdev_release,
	.read = vgpu_cdev_read,
	.write = vgpu_cdev_write,
	.poll = vgpu_cdev_poll,
	.mmap = vgpu_buffer_mmap,
	.unlocked_ioctl = vgpu_cdev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
