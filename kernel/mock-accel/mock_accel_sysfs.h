/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_SYSFS_H
#define MOCK_ACCEL_SYSFS_H

#include "mock_accel.h"

extern const struct attribute_group *mock_accel_groups[];

#endif /* MOCK_ACCEL_SYSFS_H */
