/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_SYSFS_H
#define VGPU_SYSFS_H

#include <linux/sysfs.h>

/* Of each device in /sys/class/vgpu. */
extern const struct attribute_group *vgpu_sysfs_groups[];

#endif /* VGPU_SYSFS_H */
