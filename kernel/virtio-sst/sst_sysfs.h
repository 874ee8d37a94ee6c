/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_SYSFS_H
#define SST_SYSFS_H

#include "sst.h"

extern const struct attribute_group *sst_sysfs_groups[];

int sst_sysfs_add_queues(struct sst_device *dev);
void sst_sysfs_free(struct sst_device *dev);

#endif /* SST_SYSFS_H */
