// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: class device
 */

/**
 * DOC: the node of a function in /sys/class/mock-accel and /dev
 *
 * This file makes and takes away nodes (struct mock_accel_node), names them and
 * links VFs with their PF; mimic_node.c says how they live. Before a node is
 * gone, the rings of its files are stopped, their memory is taken from the
 * device, and their mappings of device memory end; mappings of ordinary memory
 * stay.
 */

#include <linux/fs.h>
#include <linux/slab.h>

#include "mock_accel_node.h"

/* Every name starts so; what follows is the same below /dev/mock-accel. */
#define MOCK_ACCEL_NAME_PREFIX "mock"
/* Arbitrary; 512 PFs with all their VFs. */
#define MOCK_ACCEL_MAX_NODES 4096

/* Who is bound, which VFs are enabled, and open counts; see main. */
DEFINE_MUTEX(mock_accel_lock);

static const struct file_operations *mock_accel_node_fops;

static void mock_accel_node_free(struct mimic_node *base)
{
	kfree(container_of(base, struct mock_accel_node, base));
}

/* mock0_vf1 in /sys/class/mock-accel is mock-accel0_vf1 in /dev. */
static struct mimic_node_class mock_accel_nodes = {
	.name = "mock-accel",
	.class_prefix = MOCK_ACCEL_NAME_PREFIX,
	.dev_prefix = "mock-accel",
	.max_nodes = MOCK_ACCEL_MAX_NODES,
	.lock = &mock_accel_lock,
	.free = mock_accel_node_free,
};

/* Makes a node with one reference, not yet visible. */
static struct mock_accel_node *
mock_accel_node_alloc(struct mock_accel_function *func,
		      struct mock_accel_node *pf_node)
{
	struct mock_accel_node *node;
	int ret;

	node = kzalloc(sizeof(*node), GFP_KERNEL);
	if (!node)
		return ERR_PTR(-ENOMEM);
	node->ident = func->ident;
	node->has_irq = func->has_irq;
	node->func = func;
	node->pf_node = pf_node;
	ret = mimic_node_init(&node->base, &mock_accel_nodes,
			      mock_accel_node_fops, &func->pdev->dev);
	if (ret) {
		kfree(node);
		return ERR_PTR(ret);
	}
	return node;
}

static int mock_accel_node_name(struct mock_accel_node *node)
{
	if (node->pf_node)
		return dev_set_name(&node->base.dev, "%s_vf%u",
				    dev_name(&node->pf_node->base.dev),
				    node->ident.vf_index);
	return dev_set_name(&node->base.dev, MOCK_ACCEL_NAME_PREFIX "%d",
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
	struct kobject *vf = &node->base.dev.kobj;
	int ret;

	if (!node->pf_node)
		return 0;
	ret = sysfs_create_link(vf, &node->pf_node->base.dev.kobj, "physfn");
	if (ret)
		return ret;
	mock_accel_virtfn_name(node, name, sizeof(name));
	ret = sysfs_create_link(&node->pf_node->base.dev.kobj, vf, name);
	if (ret)
		sysfs_remove_link(vf, "physfn");
	return ret;
}

static void mock_accel_node_unlink(struct mock_accel_node *node)
{
	char name[sizeof("virtfn4294967295")];

	if (!node->pf_node)
		return;
	mock_accel_virtfn_name(node, name, sizeof(name));
	sysfs_remove_link(&node->pf_node->base.dev.kobj, name);
	sysfs_remove_link(&node->base.dev.kobj, "physfn");
}

static void mock_accel_set_node(struct mock_accel_function *func,
				struct mock_accel_node *node)
{
	spin_lock_irq(&func->node_lock);
	func->node = node;
	spin_unlock_irq(&func->node_lock);
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
	ret = mimic_node_add(&node->base);
	if (ret)
		goto err_unset;
	ret = mock_accel_node_link(node);
	if (ret)
		goto err_del;
	return 0;

err_del:
	mock_accel_set_node(func, NULL);
	mimic_node_remove(&node->base);
	return ret;
err_unset:
	mock_accel_set_node(func, NULL);
	/* Its number was there for a moment, and a quick opener may hold it. */
	mimic_node_disconnect(&node->base);
err_put:
	put_device(&node->base.dev);
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
	mimic_node_announce(&node->base);
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
	mimic_node_remove(&node->base);
}

/**
 * mock_accel_class_init() - register the class and the device numbers
 * @fops: of the files of nodes
 * @groups: attributes of nodes
 * @disconnect: ends what open files do with the function of a node
 *
 * Context: module load.
 * Return: 0 or a negative errno, with nothing left behind.
 */
int mock_accel_class_init(const struct file_operations *fops,
			  const struct attribute_group **groups,
			  void (*disconnect)(struct mimic_node *node))
{
	mock_accel_node_fops = fops;
	mock_accel_nodes.disconnect = disconnect;
	return mimic_node_class_init(&mock_accel_nodes, groups);
}

/**
 * mock_accel_class_exit() - undo mock_accel_class_init()
 *
 * Context: module load or unload, when no function is bound.
 */
void mock_accel_class_exit(void)
{
	mimic_node_class_exit(&mock_accel_nodes);
}
