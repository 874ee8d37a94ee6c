/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_FILE_H
#define VGPU_FILE_H

#include "vgpu.h"

struct vgpu_file *vgpu_file_new(struct vgpu_device *dev);
void vgpu_file_close(struct vgpu_file *file);

#endif /* VGPU_FILE_H */
