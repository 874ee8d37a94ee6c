/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_CDEV_H
#define MOCK_ACCEL_CDEV_H

#include "mock_accel.h"

extern const struct file_operations mock_accel_fops;

void mock_accel_disconnect(struct mimic_node *base);

#endif /* MOCK_ACCEL_CDEV_H */
