// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: character device
 */

/**
 * DOC: open files of /dev/mock-accelN
 *
 * This file answers open, close, poll and the ioctls about a function as a
 * whole; mock_accel_queue.c and mock_accel_buffer.c have those about DMA.
 *
 * A status change is a counter, @status_seq, that the interrupt handler moves.
 * Interrupts may merge, so the counter says "something changed since", not how
 * often. The counter is always read before the register: a change in between
 * moves the counter again, so that no reader sleeps on a stale value.
 */

#include <linux/fs.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mock_accel.h"
#include "mock_accel_queue.h"

static bool mock_accel_changed(struct mock_accel_node *node, u32 seen_seq)
{
	return READ_ONCE(node->gone) ||
	       (u32)atomic_read(&node->status_seq) != seen_seq;
}

/* Joins the node's open files, unless the node was taken away. */
static int mock_accel_file_join(struct mock_accel_file *file)
{
	struct mock_accel_node *node = file->node;
	int ret = -ENODEV;

	if (mutex_lock_interruptible(&mock_accel_lock))
		return -ERESTARTSYS;
	down_read(&node->access);
	if (node->func) {
		node->open_count++;
		mutex_lock(&node->files_lock);
		list_add_tail(&file->link, &node->files);
		mutex_unlock(&node->files_lock);
		ret = 0;
	}
	up_read(&node->access);
	mutex_unlock(&mock_accel_lock);
	return ret;
}

static int mock_accel_open(struct inode *inode, struct file *filp)
{
	struct mock_accel_node *node =
		container_of(inode->i_cdev, struct mock_accel_node, cdev);
	struct mock_accel_file *file;
	int ret;

	file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	file->node = node;
	file->seen_seq = atomic_read(&node->status_seq);
	file->mapping = filp->f_mapping;
	mutex_init(&file->lock);
	init_waitqueue_head(&file->waitq);

	ret = mock_accel_file_join(file);
	if (ret) {
		kfree(file);
		return ret;
	}
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int mock_accel_release(struct inode *inode, struct file *filp)
{
	struct mock_accel_file *file = filp->private_data;
	struct mock_accel_node *node = file->node;

	down_read(&node->access);
	mock_accel_file_close_queues(file);
	mutex_lock(&node->files_lock);
	list_del(&file->link);
	mutex_unlock(&node->files_lock);
	up_read(&node->access);

	mutex_lock(&mock_accel_lock);
	node->open_count--;
	mutex_unlock(&mock_accel_lock);
	kfree(file);
	return 0;
}

/**
 * mock_accel_copy_in() - get the argument of an ioctl
 * @dst: where to
 * @src: where from; begins with @size of mock_accel_ioctl.h
 * @size: of the structure that we know
 *
 * Context: may sleep; no lock that mmap or page faults take is held.
 * Return: 0; -EINVAL if the caller's structure is too small; -EFAULT.
 */
int mock_accel_copy_in(void *dst, const void __user *src, u32 size)
{
	u32 user_size;

	if (get_user(user_size, (const u32 __user *)src))
		return -EFAULT;
	if (user_size < size)
		return -EINVAL;
	return copy_from_user(dst, src, size) ? -EFAULT : 0;
}

static int mock_accel_node_numa(struct mock_accel_node *node, s32 *numa_node)
{
	int ret = -ENODEV;

	down_read(&node->access);
	if (node->func) {
		*numa_node = dev_to_node(&node->func->pdev->dev);
		ret = 0;
	}
	up_read(&node->access);
	return ret;
}

static long mock_accel_get_info(struct mock_accel_file *file,
				struct mock_accel_info __user *arg)
{
	struct mock_accel_node *node = file->node;
	const struct mock_accel_identity *ident = &node->ident;
	struct mock_accel_info info;
	int ret;

	BUILD_BUG_ON(sizeof(info) != 136);
	ret = mock_accel_copy_in(&info, arg, sizeof(info));
	if (ret)
		return ret;
	if (info.reserved)
		return -EINVAL;

	info = (struct mock_accel_info){
		.size = sizeof(info),
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
	memcpy(info.uuid, ident->uuid, sizeof(info.uuid));
	memcpy(info.label, ident->label, sizeof(info.label));
	ret = mock_accel_node_numa(node, &info.numa_node);
	if (!ret)
		ret = mock_accel_read_status(node, &info.status);
	if (ret)
		return ret;
	if (copy_to_user(arg, &info, sizeof(info)))
		return -EFAULT;
	WRITE_ONCE(file->seen_seq, info.status_seq);
	return 0;
}

static long mock_accel_wait_status(struct mock_accel_file *file,
				   struct mock_accel_wait __user *arg)
{
	struct mock_accel_node *node = file->node;
	struct mock_accel_wait wait;
	long left;
	int ret;

	BUILD_BUG_ON(sizeof(wait) != 24);
	ret = mock_accel_copy_in(&wait, arg, sizeof(wait));
	if (ret)
		return ret;
	if (wait.reserved0 || wait.reserved1 || wait.timeout_ms < -1)
		return -EINVAL;
	if (READ_ONCE(node->gone))
		return -ENODEV;
	if (!node->has_irq)
		return -EOPNOTSUPP;

	left = MAX_SCHEDULE_TIMEOUT;
	if (wait.timeout_ms >= 0)
		left = msecs_to_jiffies(wait.timeout_ms);
	left = wait_event_interruptible_timeout(
		node->waitq, mock_accel_changed(node, wait.status_seq), left);
	if (left < 0)
		return left;
	if (!left)
		return -ETIMEDOUT;

	wait.size = sizeof(wait);
	wait.status_seq = atomic_read(&node->status_seq);
	ret = mock_accel_read_status(node, &wait.status);
	if (ret)
		return ret;
	if (copy_to_user(arg, &wait, sizeof(wait)))
		return -EFAULT;
	WRITE_ONCE(file->seen_seq, wait.status_seq);
	return 0;
}

static long mock_accel_get_engine(struct mock_accel_file *file,
				  struct mock_accel_engine __user *arg)
{
	struct mock_accel_engine engine;
	struct mock_accel_function *func;
	int ret;
	u32 i;

	BUILD_BUG_ON(sizeof(engine) != 40);
	ret = mock_accel_copy_in(&engine, arg, sizeof(engine));
	if (ret)
		return ret;
	if (engine.reserved)
		return -EINVAL;
	func = mock_accel_get_function(file->node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	engine = (struct mock_accel_engine){
		.size = sizeof(engine),
		.ring_count = func->ring_count,
		.max_entries = func->ring_count ? func->max_entries : 0,
		.memory_bytes = func->memory_bytes,
		.memory_mmap_offset = MOCK_ACCEL_MMAP_MEMORY,
	};
	for (i = 0; i < func->ring_count; i++)
		if (func->rings[i].has_irq)
			engine.interrupt_rings |= BIT(i);
	mock_accel_put_function(file->node);
	return copy_to_user(arg, &engine, sizeof(engine)) ? -EFAULT : 0;
}

static long mock_accel_get_counters(struct mock_accel_file *file,
				    struct mock_accel_counters __user *arg)
{
	struct mock_accel_counters counters;
	struct mock_accel_function *func;
	int ret;

	BUILD_BUG_ON(sizeof(counters) != 64);
	ret = mock_accel_copy_in(&counters, arg, sizeof(counters));
	if (ret)
		return ret;
	if (counters.flags & ~MOCK_ACCEL_COUNTERS_CLEAR)
		return -EINVAL;
	func = mock_accel_get_function(file->node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	counters.descriptors = readq(func->regs + MOCK_ACCEL_DESCRIPTORS);
	counters.bytes_read = readq(func->regs + MOCK_ACCEL_BYTES_READ);
	counters.bytes_written = readq(func->regs + MOCK_ACCEL_BYTES_WRITTEN);
	counters.errors = readq(func->regs + MOCK_ACCEL_ERRORS);
	counters.doorbells = readq(func->regs + MOCK_ACCEL_DOORBELLS);
	counters.bad_doorbells = readq(func->regs + MOCK_ACCEL_BAD_DOORBELLS);
	counters.interrupts = readq(func->regs + MOCK_ACCEL_INTERRUPTS);
	if (counters.flags & MOCK_ACCEL_COUNTERS_CLEAR)
		writel(MOCK_ACCEL_COUNTERS_CONTROL_CLEAR,
		       func->regs + MOCK_ACCEL_COUNTERS_CONTROL);
	/* Ones until here could be numbers; this tells. */
	if (!mock_accel_is_present(func))
		ret = -ENODEV;
	mock_accel_put_function(file->node);
	if (ret)
		return ret;
	counters.size = sizeof(counters);
	counters.flags = 0;
	return copy_to_user(arg, &counters, sizeof(counters)) ? -EFAULT : 0;
}

static long mock_accel_ioctl(struct file *filp, unsigned int cmd,
			     unsigned long arg)
{
	struct mock_accel_file *file = filp->private_data;
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case MOCK_ACCEL_IOC_GET_INFO:
		return mock_accel_get_info(file, user);
	case MOCK_ACCEL_IOC_WAIT_STATUS:
		return mock_accel_wait_status(file, user);
	case MOCK_ACCEL_IOC_GET_ENGINE:
		return mock_accel_get_engine(file, user);
	case MOCK_ACCEL_IOC_QUEUE_CREATE:
		return mock_accel_queue_create_ioctl(file, user);
	case MOCK_ACCEL_IOC_QUEUE_DESTROY:
		return mock_accel_queue_destroy_ioctl(file, user);
	case MOCK_ACCEL_IOC_BUFFER_CREATE:
		return mock_accel_buffer_create_ioctl(file, user);
	case MOCK_ACCEL_IOC_BUFFER_DESTROY:
		return mock_accel_buffer_destroy_ioctl(file, user);
	case MOCK_ACCEL_IOC_SUBMIT:
		return mock_accel_submit_ioctl(file, user);
	case MOCK_ACCEL_IOC_WAIT:
		return mock_accel_wait_ioctl(file, user);
	case MOCK_ACCEL_IOC_GET_COUNTERS:
		return mock_accel_get_counters(file, user);
	default:
		return -ENOTTY;
	}
}

static __poll_t mock_accel_poll(struct file *filp, poll_table *table)
{
	struct mock_accel_file *file = filp->private_data;
	struct mock_accel_node *node = file->node;
	__poll_t events = 0;

	poll_wait(filp, &node->waitq, table);
	poll_wait(filp, &file->waitq, table);
	if (READ_ONCE(node->gone))
		return EPOLLHUP | EPOLLERR;
	if (mock_accel_file_has_completions(file))
		events |= EPOLLIN | EPOLLRDBAND;
	/* Nothing would ever wake the caller: say so at once. */
	if (!node->has_irq)
		return events | EPOLLERR;
	if (mock_accel_changed(node, READ_ONCE(file->seen_seq)))
		events |= EPOLLIN | EPOLLRDNORM;
	return events;
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
