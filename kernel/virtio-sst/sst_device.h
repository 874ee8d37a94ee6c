/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_DEVICE_H
#define SST_DEVICE_H

#include "sst.h"

struct sst_device *sst_device_new(struct virtio_device *vdev);
void sst_device_free(struct sst_device *dev);
int sst_device_start(struct sst_device *dev);
void sst_device_stop(struct sst_device *dev, int error);
void sst_device_disconnect(struct mimic_node *node);
void sst_device_config_changed(struct virtio_device *vdev);
int sst_device_freeze(struct virtio_device *vdev);
int sst_device_restore(struct virtio_device *vdev);

#endif /* SST_DEVICE_H */
