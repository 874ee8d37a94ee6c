// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: class device and character device
 */

/**
 * DOC: the node of a function in /sys/class/mock-accel and /dev
 *
 * This file makes and takes away nodes (struct mock_accel_node) and answers
 * open, ioctl and poll on them. A node's memory is that of its struct device;
 * an open file holds the cdev, which holds the device. Taking a node away
 * never waits for open files: they stay usable as objects and answer -ENODEV
 * and EPOLLHUP.
 *
 * A status change is a counter, @status_seq, that the interrupt handler moves.
 * Interrupts may merge, so the counter says "something changed since", not how
 * often. The counter is always read before the register: a change in between
 * moves the counter again, so that no reader sleeps on a stale value.
 */

#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mock_accel.h"
#include "mock_accel_compat.h"

/* Every name starts so; what follows is the same below /dev/mock-accel. */
#define MOCK_ACCEL_NAME_PREFIX "mock"

/**
 * struct mock_accel_file - one open file
 * @node: what was opened; outlives the file
 * @seen_seq: the last @status_seq that this file was given, for poll()
 */
struct mock_accel_file {
	struct mock_accel_node *node;
	u32 seen_seq;
};

static DEFINE_IDA(mock_accel_minors);
static dev_t mock_accel_devt;

static bool mock_accel_changed(struct mock_accel_node *node, u32 seen_seq)
{
	return READ_ONCE(node->gone) ||
	       (u32)atomic_read(&node->status_seq) != seen_seq;
}

static int mock_accel_open(struct inode *inode, struct file *filp)
{
	struct mock_accel_node *node =
		container_of(inode->i_cdev, struct mock_accel_node, cdev);
	struct mock_accel_file *file;
	int ret;

	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	file->node = node;
	file->seen_seq = atomic_read(&node->status_seq);

	if (mutex_lock_interruptible(&mock_accel_lock)) {
		ret = -ERESTARTSYS;
		goto err_free;
	}
	if (READ_ONCE(node->gone)) {
		mutex_unlock(&mock_accel_lock);
		ret = -ENODEV;
		goto err_free;
	}
	node->open_count++;
	mutex_unlock(&mock_accel_lock);

	filp->private_data = file;
	return nonseekable_open(inode, filp);

err_free:
	kfree(file);
	return ret;
}

static int mock_accel_release(struct inode *inode, struct file *filp)
{
	struct mock_accel_file *file = filp->private_data;

	mutex_lock(&mock_accel_lock);
	file->node->open_count--;
	mutex_unlock(&mock_accel_lock);
	kfree(file);
	return 0;
}

/* The rule of mock_accel_ioctl.h for @size, then the structure itself. */
static int mock_accel_copy_in(void *dst, const void __user *src, u32 size)
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

static long mock_accel_ioctl(struct file *filp, unsigned int cmd,
			     unsigned long arg)
{
	switch (cmd) {
	case MOCK_ACCEL_IOC_GET_INFO:
		return mock_accel_get_info(filp->private_data,
					   (void __user *)arg);
	case MOCK_ACCEL_IOC_WAIT_STATUS:
		return mock_accel_wait_status(filp->private_data,
					      (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static __poll_t mock_accel_poll(struct file *filp, poll_table *table)
{
	struct mock_accel_file *file = filp->private_data;
	struct mock_accel_node *node = file->node;

	poll_wait(filp, &node->waitq, table);
	if (READ_ONCE(node->gone))
		return EPOLLHUP | EPOLLERR;
	/* Nothing would ever wake the caller: say so at once. */
	if (!node->has_irq)
		return EPOLLERR;
	if (mock_accel_changed(node, READ_ONCE(file->seen_seq)))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}

static const struct file_operations mock_accel_fops = {
	.owner = THIS_MODULE,
	.open = mock_accel_open,
	.release = mock_accel_release,
	.unlocked_ioctl = mock_accel_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = mock_accel_poll,
};

/* mock0_vf1 in /sys/class/mock-accel is mock-accel0_vf1 in /dev. */
static char *mock_accel_devnode(mock_accel_devnode_const struct device *dev,
				umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "mock-accel%s",
			 dev_name(dev) + strlen(MOCK_ACCEL_NAME_PREFIX));
}

static void mock_accel_node_free(struct device *dev)
{
	struct mock_accel_node *node = to_mock_accel_node(dev);

	ida_free(&mock_accel_minors, MINOR(dev->devt) - MINOR(mock_accel_devt));
	kfree(node);
}

static struct class mock_accel_class = {
	.name = "mock-accel",
	.dev_groups = mock_accel_groups,
	.devnode = mock_accel_devnode,
	.dev_release = mock_accel_node_free,
};

/* Makes a node with one reference, not yet visible. */
static struct mock_accel_node *
mock_accel_node_alloc(struct mock_accel_function *func,
		      struct mock_accel_node *pf_node)
{
	struct mock_accel_node *node;
	int minor;

	node = kzalloc(sizeof(*node), GFP_KERNEL);
	if (!node)
		return ERR_PTR(-ENOMEM);
	minor = ida_alloc_max(&mock_accel_minors, MOCK_ACCEL_MAX_MINORS - 1,
			      GFP_KERNEL);
	if (minor < 0) {
		kfree(node);
		return ERR_PTR(minor);
	}
	node->ident = func->ident;
	node->has_irq = func->has_irq;
	node->func = func;
	node->pf_node = pf_node;
	init_rwsem(&node->access);
	init_waitqueue_head(&node->waitq);
	cdev_init(&node->cdev, &mock_accel_fops);
	node->cdev.owner = THIS_MODULE;

	device_initialize(&node->dev);
	node->dev.class = &mock_accel_class;
	node->dev.parent = &func->pdev->dev;
	node->dev.devt = mock_accel_devt + minor;
	/* Told by mock_accel_node_announce(), when there is all to see. */
	dev_set_uevent_suppress(&node->dev, true);
	return node;
}

static int mock_accel_node_name(struct mock_accel_node *node)
{
	if (node->pf_node)
		return dev_set_name(&node->dev, "%s_vf%u",
				    dev_name(&node->pf_node->dev),
				    node->ident.vf_index);
	return dev_set_name(&node->dev, MOCK_ACCEL_NAME_PREFIX "%d",
			    node->func->index);
}

static void mock_accel_virtfn_name(const struct mock_accel_node *node,
				   char *name, size_t size)
{
	scnprintf(name, size, "virtfn%u", node->ident.vf_index);
}

static int mock_accel_node_link(struct mock_accel_node *node)
{
	char name[sizeof("virtfn4294967295")];
	int ret;

	if (!node->pf_node)
		return 0;
	ret = sysfs_create_link(&node->dev.kobj, &node->pf_node->dev.kobj,
				"physfn");
	if (ret)
		return ret;
	mock_accel_virtfn_name(node, name, sizeof(name));
	ret = sysfs_create_link(&node->pf_node->dev.kobj, &node->dev.kobj,
				name);
	if (ret)
		sysfs_remove_link(&node->dev.kobj, "physfn");
	return ret;
}

static void mock_accel_node_unlink(struct mock_accel_node *node)
{
	char name[sizeof("virtfn4294967295")];

	if (!node->pf_node)
		return;
	mock_accel_virtfn_name(node, name, sizeof(name));
	sysfs_remove_link(&node->pf_node->dev.kobj, name);
	sysfs_remove_link(&node->dev.kobj, "physfn");
}

static void mock_accel_set_node(struct mock_accel_function *func,
				struct mock_accel_node *node)
{
	spin_lock_irq(&func->node_lock);
	func->node = node;
	spin_unlock_irq(&func->node_lock);
}

/* Ends every use of the function through the node, and the wait for it. */
static void mock_accel_node_disconnect(struct mock_accel_node *node)
{
	down_write(&node->access);
	node->func = NULL;
	up_write(&node->access);
	WRITE_ONCE(node->gone, true);
	wake_up_all(&node->waitq);
}

/**
 * mock_accel_node_add() - let a function appear in sysfs and /dev
 * @func: the function; must have no node
 * @pf_node: VF: class device of its PF, which stays until the VF's is removed;
 *	PF: NULL
 *
 * Sets @func->node. No uevent is sent yet, see mock_accel_node_announce().
 *
 * Context: may sleep; for a VF the caller holds mock_accel_lock.
 * Return: 0 or a negative errno, with nothing left behind.
 */
int mock_accel_node_add(struct mock_accel_function *func,
			struct mock_accel_node *pf_node)
{
	struct mock_accel_node *node;
	int ret;

	node = mock_accel_node_alloc(func, pf_node);
	if (IS_ERR(node))
		return PTR_ERR(node);
	ret = mock_accel_node_name(node);
	if (ret)
		goto err_put;
	/* Before it can be opened, so that no status change is missed. */
	mock_accel_set_node(func, node);
	ret = cdev_device_add(&node->cdev, &node->dev);
	if (ret)
		goto err_unset;
	ret = mock_accel_node_link(node);
	if (ret)
		goto err_del;
	return 0;

err_del:
	cdev_device_del(&node->cdev, &node->dev);
err_unset:
	mock_accel_set_node(func, NULL);
	/* A quick opener may hold it. */
	mock_accel_node_disconnect(node);
err_put:
	put_device(&node->dev);
	return ret;
}

/**
 * mock_accel_node_announce() - tell user space of a node that is complete
 * @node: what mock_accel_node_add() made
 *
 * Context: may sleep.
 */
void mock_accel_node_announce(struct mock_accel_node *node)
{
	dev_set_uevent_suppress(&node->dev, false);
	kobject_uevent(&node->dev.kobj, KOBJ_ADD);
}

/**
 * mock_accel_node_remove() - take a function's node away, open or not
 * @func: the function; nothing happens if it has no node
 *
 * When this returns, nothing reaches @func through the node any more.
 *
 * Context: may sleep; for a VF the caller holds mock_accel_lock, for a PF the
 * caller must not, as a write to its sriov_numvfs may wait for it.
 */
void mock_accel_node_remove(struct mock_accel_function *func)
{
	struct mock_accel_node *node = func->node;

	if (!node)
		return;
	mock_accel_set_node(func, NULL);
	mock_accel_node_unlink(node);
	/* Waits for sysfs readers and writers; open files live on. */
	cdev_device_del(&node->cdev, &node->dev);
	mock_accel_node_disconnect(node);
	put_device(&node->dev);
}

/**
 * mock_accel_status_changed() - wake all who wait for a change of STATUS
 * @func: the function whose register changed
 *
 * Context: any, also hard interrupt; takes @func->node_lock.
 */
void mock_accel_status_changed(struct mock_accel_function *func)
{
	unsigned long flags;

	spin_lock_irqsave(&func->node_lock, flags);
	if (func->node) {
		atomic_inc(&func->node->status_seq);
		wake_up_all(&func->node->waitq);
	}
	spin_unlock_irqrestore(&func->node_lock, flags);
}

/**
 * mock_accel_class_init() - register the class and the device numbers
 *
 * Context: module load.
 * Return: 0 or a negative errno, with nothing left behind.
 */
int __init mock_accel_class_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&mock_accel_devt, 0, MOCK_ACCEL_MAX_MINORS,
				  "mock-accel");
	if (ret)
		return ret;
	ret = class_register(&mock_accel_class);
	if (ret)
		unregister_chrdev_region(mock_accel_devt,
					 MOCK_ACCEL_MAX_MINORS);
	return ret;
}

/**
 * mock_accel_class_exit() - undo mock_accel_class_init()
 *
 * Context: module load or unload, when no function is bound.
 */
void mock_accel_class_exit(void)
{
	class_unregister(&mock_accel_class);
	unregister_chrdev_region(mock_accel_devt, MOCK_ACCEL_MAX_MINORS);
	ida_destroy(&mock_accel_minors);
}
