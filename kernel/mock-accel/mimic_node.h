/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The appearance of a function in /sys/class and /dev, and its open files.
 */
#ifndef MIMIC_NODE_H
#define MIMIC_NODE_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/idr.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/wait.h>

struct mimic_node;

/**
 * struct mimic_node_class - all nodes of a module
 * @name: of the class, and of the range of device numbers
 * @class_prefix: how the names of all nodes begin
 * @dev_prefix: what is in its place in /dev
 * @max_nodes: at a time
 * @lock: of the module; protects the open counts. A decision about who has
 *	a node open and the deed that follows from it are one step under it.
 * @disconnect: ends every use of what the node stands for; the node's @access
 *	is held for writing. Called once for each node.
 * @free: frees the memory that the node is part of
 * @class: made here
 * @devt: the first device number
 * @minors: which of them are taken
 */
struct mimic_node_class {
	const char *name;
	const char *class_prefix;
	const char *dev_prefix;
	unsigned int max_nodes;
	struct mutex *lock;
	void (*disconnect)(struct mimic_node *node);
	void (*free)(struct mimic_node *node);
	struct class class;
	dev_t devt;
	struct ida minors;
};

/**
 * struct mimic_node - one appearance, part of a structure of the module
 * @dev: class device; its reference count is the node's
 * @cdev: character device; an open file holds it and through it @dev
 * @access: held for reading while what the node stands for is used; for
 *	writing to end all use
 * @gone: true once the node was taken away; set under @access, and read without
 *	it in conditions of waits
 * @waitq: woken when @gone is set, and by the module
 * @open_count: open files; written under the lock of the class
 * @files_lock: protects @files among those who hold @access for reading; who
 *	holds it for writing needs no more
 * @files: open files
 */
struct mimic_node {
	struct device dev;
	struct cdev cdev;
	struct rw_semaphore access;
	bool gone;
	wait_queue_head_t waitq;
	unsigned int open_count;
	struct mutex files_lock;
	struct list_head files;
};

/**
 * struct mimic_node_file - an open file, part of a structure of the module
 * @node: what was opened; outlives the file
 * @link: in @node->files
 */
struct mimic_node_file {
	struct mimic_node *node;
	struct list_head link;
};

#define to_mimic_node(d) container_of(d, struct mimic_node, dev)

int mimic_node_class_init(struct mimic_node_class *nodes,
			  const struct attribute_group **groups);
void mimic_node_class_exit(struct mimic_node_class *nodes);

int mimic_node_init(struct mimic_node *node, struct mimic_node_class *nodes,
		    const struct file_operations *fops, struct device *parent);
int mimic_node_add(struct mimic_node *node);
void mimic_node_announce(struct mimic_node *node);
void mimic_node_disconnect(struct mimic_node *node);
void mimic_node_remove(struct mimic_node *node);

int mimic_node_join(struct mimic_node *node, struct mimic_node_file *file);
void mimic_node_leave(struct mimic_node_file *file,
		      void (*close)(struct mimic_node_file *file));

#endif /* MIMIC_NODE_H */
