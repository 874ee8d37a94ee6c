/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of one request or one response that the driver copies.
 */
#ifndef VGPU_MEMORY_H
#define VGPU_MEMORY_H

#include <linux/dma-mapping.h>

#include "vgpu_pages.h"

/**
 * struct vgpu_memory - bytes next to each other
 * @data: where, NULL: none
 * @bytes: of it
 * @pages: that it is in, if it is large
 * @dma: bus address while @mapped
 * @direction: of DMA
 * @mapped: the device can reach it
 */
struct vgpu_memory {
	void *data;
	u32 bytes;
	struct vgpu_pages pages;
	dma_addr_t dma;
	enum dma_data_direction direction;
	bool mapped;
};

int vgpu_memory_alloc(struct vgpu_memory *memory, int node, u32 bytes,
		      enum dma_data_direction direction);
void vgpu_memory_free(struct vgpu_memory *memory);
int vgpu_memory_map(struct vgpu_memory *memory, struct device *dev);
void vgpu_memory_unmap(struct vgpu_memory *memory, struct device *dev);

#endif /* VGPU_MEMORY_H */
