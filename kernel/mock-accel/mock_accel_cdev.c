// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: character device
 */

/**
 * DOC: open files of /dev/mock-accelN
 *
 * This file answers open and close, knows all ioctls, and executes those about
 * a function as a whole; mock_accel_queue.c, mock_accel_submit.c,
 * mock_accel_buffer.c and mock_accel_wait.c have the others.
 */

#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "mimic_uapi.h"
#include "mock_accel_buffer.h"
#include "mock_accel_cdev.h"
#include "mock_accel_hw.h"
#include "mock_accel_mmap.h"
#include "mock_accel_queue.h"
#include "mock_accel_submit.h"
#include "mock_accel_wait.h"

/* What user space and the device know may grow, but never by accident. */
static_assert(sizeof(struct mock_accel_info) == 136);
static_assert(sizeof(struct mock_accel_wait) == 24);
static_assert(sizeof(struct mock_accel_engine) == 40);
static_assert(sizeof(struct mock_accel_queue_create) == 32);
static_assert(sizeof(struct mock_accel_buffer_create) == 24);
static_assert(sizeof(struct mock_accel_destroy) == 16);
static_assert(sizeof(struct mock_accel_submit) == 48);
static_assert(sizeof(struct mock_accel_operation) == 40);
static_assert(sizeof(struct mock_accel_wait_queue) == 32);
static_assert(sizeof(struct mock_accel_counters) == 64);
static_assert(sizeof(struct mock_accel_completion) == 16);
static_assert(sizeof(struct mock_accel_descriptor) == 32);

static int mock_accel_node_numa(struct mock_accel_node *node, s32 *numa_node)
{
	int ret = -ENODEV;

	down_read(&node->base.access);
	if (node->func) {
		*numa_node = dev_to_node(&node->func->pdev->dev);
		ret = 0;
	}
	up_read(&node->base.access);
	return ret;
}

static int mock_accel_get_info(void *context, void *argument)
{
	struct mock_accel_file *file = context;
	struct mock_accel_node *node = mock_accel_node_of(file);
	const struct mock_accel_identity *ident = &node->ident;
	struct mock_accel_info *info = argument;
	int ret;

	if (info->reserved)
		return -EINVAL;
	*info = (struct mock_accel_info){
		.flags = (ident->is_vf ? MOCK_ACCEL_INFO_VF : 0) |
			 (ident->label[0] ? MOCK_ACCEL_INFO_HAS_LABEL : 0) |
			 (node->has_irq ? MOCK_ACCEL_INFO_HAS_IRQ : 0),
		.device_id = ident->device_id,
		.revision = ident->revision,
		.memory_size = ident->memory_size,
		.capabilities = ident->capabilities,
		.total_vfs = ident->total_vfs,
		.vf_index = ident->vf_index,
		.status_seq = atomic_read(&node->status_seq),
		.fw_version = ident->fw_version,
	};
	memcpy(info->uuid, ident->uuid, sizeof(info->uuid));
	memcpy(info->label, ident->label, sizeof(info->label));
	ret = mock_accel_node_numa(node, &info->numa_node);
	if (!ret)
		ret = mock_accel_read_status(node, &info->status);
	if (ret)
		return ret;
	WRITE_ONCE(file->seen_seq, info->status_seq);
	/* By a flag that is missing. */
	WRITE_ONCE(file->told_no_irq, true);
	return 0;
}

static int mock_accel_get_engine(void *context, void *argument)
{
	struct mock_accel_engine *engine = argument;
	struct mock_accel_file *file = context;
	struct mock_accel_node *node = mock_accel_node_of(file);
	struct mock_accel_function *func;
	u32 i;

	if (engine->reserved)
		return -EINVAL;
	func = mock_accel_get_function(node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	*engine = (struct mock_accel_engine){
		.ring_count = func->ring_count,
		.max_entries = func->ring_count ? func->max_entries : 0,
		.memory_bytes = func->memory_bytes,
		.memory_mmap_offset = MOCK_ACCEL_MMAP_MEMORY,
	};
	for (i = 0; i < func->ring_count; i++)
		if (func->rings[i].has_irq)
			engine->interrupt_rings |= BIT(i);
	mock_accel_put_function(node);
	return 0;
}

static int mock_accel_get_counters(void *context, void *argument)
{
	struct mock_accel_counters *counters = argument;
	struct mock_accel_file *file = context;
	struct mock_accel_node *node = mock_accel_node_of(file);
	const u32 flags = counters->flags;
	struct mock_accel_function *func;
	int ret = 0;

	if (flags & ~MOCK_ACCEL_COUNTERS_CLEAR)
		return -EINVAL;
	func = mock_accel_get_function(node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	*counters = (struct mock_accel_counters){
		.descriptors = readq(func->regs + MOCK_ACCEL_DESCRIPTORS),
		.bytes_read = readq(func->regs + MOCK_ACCEL_BYTES_READ),
		.bytes_written = readq(func->regs + MOCK_ACCEL_BYTES_WRITTEN),
		.errors = readq(func->regs + MOCK_ACCEL_ERRORS),
		.doorbells = readq(func->regs + MOCK_ACCEL_DOORBELLS),
		.bad_doorbells = readq(func->regs + MOCK_ACCEL_BAD_DOORBELLS),
		.interrupts = readq(func->regs + MOCK_ACCEL_INTERRUPTS),
	};
	if (flags & MOCK_ACCEL_COUNTERS_CLEAR)
		writel(MOCK_ACCEL_COUNTERS_CONTROL_CLEAR,
		       func->regs + MOCK_ACCEL_COUNTERS_CONTROL);
	/* Ones until here could be numbers; this tells. */
	if (!mock_accel_is_present(func))
		ret = -ENODEV;
	mock_accel_put_function(node);
	return ret;
}

/* Number, function, structure, last field of its first version, replies. */
static const struct mimic_ioctl mock_accel_ioctls[] = {
	MIMIC_IOCTL(MOCK_ACCEL_IOC_GET_INFO, mock_accel_get_info,
		    struct mock_accel_info, reserved, true),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_WAIT_STATUS, mock_accel_wait_status,
		    struct mock_accel_wait, reserved, true),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_GET_ENGINE, mock_accel_get_engine,
		    struct mock_accel_engine, reserved, true),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_QUEUE_CREATE, mock_accel_queue_create,
		    struct mock_accel_queue_create, completions_mmap_offset,
		    true),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_QUEUE_DESTROY, mock_accel_queue_destroy,
		    struct mock_accel_destroy, handle, false),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_BUFFER_CREATE, mock_accel_buffer_create,
		    struct mock_accel_buffer_create, mmap_offset, true),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_BUFFER_DESTROY, mock_accel_buffer_destroy,
		    struct mock_accel_destroy, handle, false),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_SUBMIT, mock_accel_submit,
		    struct mock_accel_submit, origin, true),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_WAIT, mock_accel_wait_queue,
		    struct mock_accel_wait_queue, flags, true),
	MIMIC_IOCTL(MOCK_ACCEL_IOC_GET_COUNTERS, mock_accel_get_counters,
		    struct mock_accel_counters, interrupts, true),
};

static long mock_accel_ioctl(struct file *filp, unsigned int cmd,
			     unsigned long arg)
{
	return mimic_ioctl_run(mock_accel_ioctls, ARRAY_SIZE(mock_accel_ioctls),
			       filp->private_data, cmd, (void __user *)arg);
}

static void mock_accel_look(struct work_struct *work)
{
	struct mock_accel_file *file =
		container_of(work, struct mock_accel_file, look.work);

	wake_up_all(&file->waitq);
}

static int mock_accel_open(struct inode *inode, struct file *filp)
{
	struct mock_accel_node *node =
		container_of(inode->i_cdev, struct mock_accel_node, base.cdev);
	struct mock_accel_file *file;
	int ret;

	file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	file->seen_seq = atomic_read(&node->status_seq);
	file->mapping = filp->f_mapping;
	mutex_init(&file->lock);
	init_waitqueue_head(&file->waitq);
	INIT_DELAYED_WORK(&file->look, mock_accel_look);

	ret = mimic_node_join(&node->base, &file->base);
	if (ret) {
		kfree(file);
		return ret;
	}
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

/* Ends all that a file has. Its node may have been taken away. */
static void mock_accel_file_close(struct mimic_node_file *base)
{
	struct mock_accel_file *file =
		container_of(base, struct mock_accel_file, base);
	struct mock_accel_function *func = mock_accel_node_of(file)->func;

	mutex_lock(&file->lock);
	mock_accel_file_free_queues(file, func);
	mock_accel_file_free_buffers(file, func ? &func->pdev->dev : NULL);
	mutex_unlock(&file->lock);
}

static int mock_accel_release(struct inode *inode, struct file *filp)
{
	struct mock_accel_file *file = filp->private_data;

	mimic_node_leave(&file->base, mock_accel_file_close);
	cancel_delayed_work_sync(&file->look);
	kfree(file);
	return 0;
}

/**
 * mock_accel_disconnect() - take all open files from the function of a node
 * @base: the node, whose function is about to go
 *
 * Rings are stopped and given back, pages taken from the device; mappings of
 * device memory end; faults wait until the function is gone and find nothing.
 *
 * Context: holds @base->access for writing; the function is there.
 */
void mock_accel_disconnect(struct mimic_node *base)
{
	struct mock_accel_node *node =
		container_of(base, struct mock_accel_node, base);
	const u64 memory_bytes = node->func->memory_bytes;
	struct device *dev = &node->func->pdev->dev;
	struct mock_accel_file *file;

	list_for_each_entry(file, &base->files, base.link) {
		mutex_lock(&file->lock);
		mock_accel_file_disconnect_queues(file, dev);
		mock_accel_file_disconnect_buffers(file, dev);
		mutex_unlock(&file->lock);
		/* No new ones come: faults wait for us, then see no function. */
		if (memory_bytes)
			unmap_mapping_range(file->mapping,
					    MOCK_ACCEL_MMAP_MEMORY,
					    memory_bytes, 1);
	}
	node->func = NULL;
}

/* Of all nodes. */
const struct file_operations mock_accel_fops = {
	.owner = THIS_MODULE,
	.open = mock_accel_open,
	.release = mock_accel_release,
	.unlocked_ioctl = mock_accel_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = mock_accel_poll,
	.mmap = mock_accel_mmap,
};
