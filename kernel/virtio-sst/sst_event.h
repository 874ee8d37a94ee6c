/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_EVENT_H
#define SST_EVENT_H

#include "sst.h"

int sst_events_init(struct sst_device *dev);
void sst_events_free(struct sst_device *dev);
void sst_events_start(struct sst_device *dev, struct virtqueue *vq);
void sst_events_kick(struct sst_device *dev);
void sst_events_stop(struct sst_device *dev);
void sst_events_interrupt(struct virtqueue *vq);
void sst_events_collect(struct sst_device *dev);

void sst_events_subscribe(struct sst_file *file);
void sst_events_unsubscribe(struct sst_file *file);
bool sst_events_take(struct sst_file *file, struct SSTEvent *event);

/* A hint, for waits and poll(). */
static inline bool sst_events_are_there(const struct sst_file *file)
{
	return !sst_ring_is_empty(&file->events);
}

static inline bool sst_events_is_subscribed(const struct sst_file *file)
{
	return !list_empty_careful(&file->subscription);
}

#endif /* SST_EVENT_H */
