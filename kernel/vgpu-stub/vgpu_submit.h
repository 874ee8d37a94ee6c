/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_SUBMIT_H
#define VGPU_SUBMIT_H

#include "vgpu.h"

bool vgpu_submit_has_room(const struct vgpu_device *dev);
ssize_t vgpu_submit_write(struct vgpu_file *file, const char __user *buf,
			  size_t count, bool nonblock);
int vgpu_submit_one(struct vgpu_file *file, struct vgpu_submit *submit,
		    bool nonblock);
int vgpu_submit_batch(struct vgpu_file *file, struct vgpu_batch *batch,
		      bool nonblock);

#endif /* VGPU_SUBMIT_H */
