// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: class device
 */

/**
 * DOC: the node of a function in /sys/class/mock-accel and /dev
 *
 * This file makes and takes away nodes (struct mock_accel_node). A node's
 * memory is that of its struct device; an open file holds the cdev, which holds
 * the device. Taking a node away never waits for open files: they stay usable
 * as objects and answer -ENODEV and EPOLLHUP. Before it is gone, their rings
 * are stopped, their memory is taken from the device, and their mappings of
 * device memory end; mappings of ordinary memory stay.
 */

#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "mock_accel.h"
#include "mock_accel_compat.h"
#include "mock_accel_queue.h"

/* Every name starts so; what follows is the same below /dev/mock-accel. */
#define MOCK_ACCEL_NAME_PREFIX "mock"

static DEFINE_IDA(mock_accel_minors);
static dev_t mock_accel_devt;

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
	mutex_init(&node->files_lock);
	INIT_LIST_HEAD(&node->files);
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
	mock_accel_files_disconnect(node);
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
