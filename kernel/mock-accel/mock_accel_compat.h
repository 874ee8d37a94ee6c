/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels 5.10 and 7.2, all of them in this one file.
 *
 * What needs nothing here because the oldest interface still exists: a static
 * struct class (instead of class_create(), which lost an argument in 6.4),
 * pcim_iomap() (instead of the deprecated pcim_iomap_regions()), and no
 * .llseek at all (instead of no_llseek, gone in 6.12).
 */
#ifndef MOCK_ACCEL_COMPAT_H
#define MOCK_ACCEL_COMPAT_H

#include <linux/version.h>

/* 6.2: class->devnode takes a const struct device. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define mock_accel_devnode_const const
#else
#define mock_accel_devnode_const
#endif

#endif /* MOCK_ACCEL_COMPAT_H */
