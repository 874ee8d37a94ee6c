/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_NODE_H
#define MOCK_ACCEL_NODE_H

#include "mock_accel.h"

extern struct mutex mock_accel_lock;

int mock_accel_class_init(const struct file_operations *fops,
			  const struct attribute_group **groups,
			  void (*disconnect)(struct mimic_node *node));
void mock_accel_class_exit(void);
int mock_accel_node_add(struct mock_accel_function *func,
			struct mock_accel_node *pf_node);
void mock_accel_node_announce(struct mock_accel_node *node);
void mock_accel_node_remove(struct mock_accel_function *func);

#endif /* MOCK_ACCEL_NODE_H */
