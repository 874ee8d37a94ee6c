/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_QUEUE_H
#define VGPU_QUEUE_H

#include "vgpu_call.h"

void vgpu_queue_init(struct vgpu_device *dev);
void vgpu_queue_start(struct vgpu_device *dev);
bool vgpu_queue_stop(struct vgpu_device *dev);
void vgpu_queue_cancel(struct vgpu_device *dev, int error, bool all);

int vgpu_queue_submit(struct vgpu_device *dev, struct list_head *calls);
void vgpu_queue_collect(struct vgpu_device *dev);
bool vgpu_queue_doorbell(struct vgpu_device *dev, bool *tell, u32 *seen,
			 u32 *tail);

struct vgpu_call *vgpu_queue_current(struct vgpu_device *dev);
struct vgpu_call *vgpu_queue_next(struct vgpu_device *dev);
void vgpu_queue_done(struct vgpu_device *dev, struct vgpu_call *call,
		     int error);

bool vgpu_queue_is_stuck(struct vgpu_device *dev);
bool vgpu_queue_has_work(struct vgpu_device *dev);
u32 vgpu_queue_outstanding(struct vgpu_device *dev);

#endif /* VGPU_QUEUE_H */
