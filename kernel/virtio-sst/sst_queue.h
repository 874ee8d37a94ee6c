/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_QUEUE_H
#define SST_QUEUE_H

#include "sst_call.h"

void sst_queue_init(struct sst_queue *queue, struct sst_device *dev, u32 index);
void sst_queue_start(struct sst_queue *queue, struct virtqueue *vq);
void sst_queue_stop(struct sst_queue *queue, int error);
int sst_queue_submit(struct sst_queue *queue, struct list_head *calls);
void sst_queue_collect(struct sst_queue *queue);
void sst_queue_interrupt(struct virtqueue *vq);
u32 sst_queue_outstanding(struct sst_queue *queue);
u32 sst_queue_wanted(struct sst_queue *queue);
bool sst_queue_is_stuck(struct sst_queue *queue);

#endif /* SST_QUEUE_H */
