/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_CDEV_H
#define VGPU_CDEV_H

struct file_operations;

extern const struct file_operations vgpu_fops;

#endif /* VGPU_CDEV_H */
