/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_CDEV_H
#define SST_CDEV_H

#include <linux/fs.h>

extern const struct file_operations sst_fops;

#endif /* SST_CDEV_H */
