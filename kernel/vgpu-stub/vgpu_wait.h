/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_WAIT_H
#define VGPU_WAIT_H

#include "vgpu.h"

ssize_t vgpu_wait_read(struct vgpu_file *file, char __user *buf, size_t count,
		       bool nonblock);
int vgpu_wait_many(struct vgpu_file *file, struct vgpu_wait *wait,
		   bool nonblock);

#endif /* VGPU_WAIT_H */
