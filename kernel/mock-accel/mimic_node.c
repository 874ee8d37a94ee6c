// SPDX-License-Identifier: GPL-2.0
/*
 * mimic: class devices, character devices and their open files
 */

/**
 * DOC: the life of a node
 *
 * A node's memory is that of its struct device; an open file holds the cdev,
 * which holds the device. Taking a node away never waits for open files: they
 * stay usable as objects, find @gone set and answer -ENODEV and EPOLLHUP.
 * Whatever leads from a node to the function that it stands for is used with
 * @access held for reading; disconnecting takes it for writing, so nothing uses
 * the function any more when that returns.
 */

#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mimic_compat.h"
#include "mimic_node.h"

static struct mimic_node_class *mimic_node_class_of(const struct device *dev)
{
	return container_of(dev->class, struct mimic_node_class, class);
}

static char *mimic_node_devnode(mimic_devnode_const struct device *dev,
				umode_t *mode)
{
	const struct mimic_node_class *nodes = mimic_node_class_of(dev);

	return kasprintf(GFP_KERNEL, "%s%s", nodes->dev_prefix,
			 dev_name(dev) + strlen(nodes->class_prefix));
}

static void mimic_node_release(struct device *dev)
{
	struct mimic_node_class *nodes = mimic_node_class_of(dev);

	ida_free(&nodes->minors, MINOR(dev->devt) - MINOR(nodes->devt));
	nodes->free(to_mimic_node(dev));
}

/**
 * mimic_node_class_init() - register a class and its device numbers
 * @nodes: with what is said in its description filled in
 * @groups: attributes that each node has
 *
 * Context: module load.
 * Return: 0 or a negative errno, with nothing left behind.
 */
int mimic_node_class_init(struct mimic_node_class *nodes,
			  const struct attribute_group **groups)
{
	int ret;

	ida_init(&nodes->minors);
	nodes->class = (struct class){
		.name = nodes->name,
		.dev_groups = groups,
		.devnode = mimic_node_devnode,
		.dev_release = mimic_node_release,
	};
	ret = alloc_chrdev_region(&nodes->devt, 0, nodes->max_nodes,
				  nodes->name);
	if (ret)
		return ret;
	ret = class_register(&nodes->class);
	if (ret)
		unregister_chrdev_region(nodes->devt, nodes->max_nodes);
	return ret;
}

/**
 * mimic_node_class_exit() - undo mimic_node_class_init()
 * @nodes: without any node
 *
 * Context: module load or unload.
 */
void mimic_node_class_exit(struct mimic_node_class *nodes)
{
	class_unregister(&nodes->class);
	unregister_chrdev_region(nodes->devt, nodes->max_nodes);
	ida_destroy(&nodes->minors);
}

/**
 * mimic_node_init() - make a node with one reference, not yet visible
 * @node: zeroed memory
 * @nodes: its class
 * @fops: of its files
 * @parent: device that it stands for
 *
 * The caller names it by dev_set_name().
 *
 * Context: may sleep.
 * Return: 0, and from now on put_device() frees @node; or a negative errno, and
 * @node is the caller's to free.
 */
int mimic_node_init(struct mimic_node *node, struct mimic_node_class *nodes,
		    const struct file_operations *fops, struct device *parent)
{
	int minor;

	minor = ida_alloc_max(&nodes->minors, nodes->max_nodes - 1, GFP_KERNEL);
	if (minor < 0)
		return minor;
	init_rwsem(&node->access);
	init_waitqueue_head(&node->waitq);
	mutex_init(&node->files_lock);
	INIT_LIST_HEAD(&node->files);
	cdev_init(&node->cdev, fops);
	node->cdev.owner = THIS_MODULE;

	device_initialize(&node->dev);
	node->dev.class = &nodes->class;
	node->dev.parent = parent;
	node->dev.devt = nodes->devt + minor;
	/* Told by mimic_node_announce(), when there is all to see. */
	dev_set_uevent_suppress(&node->dev, true);
	return 0;
}

/**
 * mimic_node_add() - let a node appear in sysfs and /dev
 * @node: named
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int mimic_node_add(struct mimic_node *node)
{
	return cdev_device_add(&node->cdev, &node->dev);
}

/**
 * mimic_node_announce() - tell user space of a node that is complete
 * @node: what mimic_node_add() added
 *
 * Context: may sleep.
 */
void mimic_node_announce(struct mimic_node *node)
{
	dev_set_uevent_suppress(&node->dev, false);
	kobject_uevent(&node->dev.kobj, KOBJ_ADD);
}

/**
 * mimic_node_disconnect() - end every use through a node
 * @node: the node, invisible or about to be; its files may be open
 *
 * Context: may sleep; takes @node->access for writing.
 */
void mimic_node_disconnect(struct mimic_node *node)
{
	down_write(&node->access);
	mimic_node_class_of(&node->dev)->disconnect(node);
	WRITE_ONCE(node->gone, true);
	up_write(&node->access);
	wake_up_all(&node->waitq);
}

/**
 * mimic_node_remove() - take a node away, open or not
 * @node: what mimic_node_add() added; may be freed when this returns
 *
 * Context: may sleep: waits for readers and writers of attributes.
 */
void mimic_node_remove(struct mimic_node *node)
{
	cdev_device_del(&node->cdev, &node->dev);
	mimic_node_disconnect(node);
	put_device(&node->dev);
}

/**
 * mimic_node_join() - a file is opened
 * @node: what is opened
 * @file: joins the open files of @node
 *
 * Context: may sleep; takes the lock of the class and @node->access.
 * Return: 0; -ENODEV if @node was taken away; -ERESTARTSYS by a signal.
 */
int mimic_node_join(struct mimic_node *node, struct mimic_node_file *file)
{
	struct mutex *lock = mimic_node_class_of(&node->dev)->lock;
	int ret = -ENODEV;

	file->node = node;
	if (mutex_lock_interruptible(lock))
		return -ERESTARTSYS;
	down_read(&node->access);
	if (!node->gone) {
		/* Interrupt handlers look at it. */
		WRITE_ONCE(node->open_count, node->open_count + 1);
		mutex_lock(&node->files_lock);
		list_add_tail(&file->link, &node->files);
		mutex_unlock(&node->files_lock);
		ret = 0;
	}
	up_read(&node->access);
	mutex_unlock(lock);
	return ret;
}

/**
 * mimic_node_leave() - a file is closed
 * @file: what mimic_node_join() took
 * @close: ends what the file has; @access of the node is held for reading
 *
 * Context: may sleep; takes the lock of the class and @access.
 */
void mimic_node_leave(struct mimic_node_file *file,
		      void (*close)(struct mimic_node_file *file))
{
	struct mimic_node *node = file->node;
	struct mutex *lock = mimic_node_class_of(&node->dev)->lock;

	down_read(&node->access);
	close(file);
	mutex_lock(&node->files_lock);
	list_del(&file->link);
	mutex_unlock(&node->files_lock);
	up_read(&node->access);

	mutex_lock(lock);
	WRITE_ONCE(node->open_count, node->open_count - 1);
	mutex_unlock(lock);
}
