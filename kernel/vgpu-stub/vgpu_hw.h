/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_HW_H
#define VGPU_HW_H

#include <linux/io.h>

#include "vgpu.h"
#include "vgpu_stub_regs.h"

/* Values of STATUS, and of RING_STATUS. */
#define VGPU_STATUS_BUSY 1
#define VGPU_STATUS_DONE 2
#define VGPU_STATUS_ERROR 3
#define VGPU_RING_RUNNING 1

static inline u32 vgpu_read(const struct vgpu_device *dev, u32 offset)
{
	return readl(dev->regs + offset);
}

static inline void vgpu_write(const struct vgpu_device *dev, u32 offset,
			      u32 value)
{
	writel(value, dev->regs + offset);
}

/* A device that was pulled out reads all ones. */
static inline bool vgpu_hw_answers(const struct vgpu_device *dev)
{
	return vgpu_read(dev, VGPU_STUB_PROTO_VERSION) != U32_MAX;
}

int vgpu_hw_check_parameters(void);
int vgpu_hw_identify(struct vgpu_device *dev);
void vgpu_hw_choose_mode(struct vgpu_device *dev);
int vgpu_hw_request_irqs(struct vgpu_device *dev);
void vgpu_hw_free_irqs(struct vgpu_device *dev);
void vgpu_hw_init(struct vgpu_device *dev);
int vgpu_hw_start(struct vgpu_device *dev);
void vgpu_hw_stop_ring(struct vgpu_device *dev);
void vgpu_hw_quiesce(struct vgpu_device *dev);
void vgpu_hw_kick(struct vgpu_device *dev);
void vgpu_hw_look_later(struct vgpu_device *dev);

/* The way of one request at a time: vgpu_single.c. */
bool vgpu_single_run(struct vgpu_device *dev);

#endif /* VGPU_HW_H */
