// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: memory of copied requests and responses
 */

#include <linux/mm.h>
#include <linux/slab.h>

#include "vgpu_memory.h"

/* More is pages; arbitrary. */
#define VGPU_MEMORY_SMALL 8192

/**
 * vgpu_memory_alloc() - get memory, zeroed where the device writes
 * @memory: zeros; filled in
 * @node: of memory
 * @bytes: may be 0
 * @direction: DMA_TO_DEVICE or DMA_FROM_DEVICE
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vgpu_memory_alloc(struct vgpu_memory *memory, int node, u32 bytes,
		      enum dma_data_direction direction)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
	int ret;

	memory->bytes = bytes;
	memory->direction = direction;
	if (!bytes)
		return 0;
	if (bytes <= VGPU_MEMORY_SMALL) {
		/* What a device says it wrote, but did not, is shown. */
		if (direction == DMA_FROM_DEVICE)
			gfp |= __GFP_ZERO;
		memory->data = kmalloc_node(bytes, gfp, node);
		return memory->data ? 0 : -ENOMEM;
	}
	ret = vgpu_pages_alloc(&memory->pages, node, bytes);
	if (!ret)
		memory->data = page_address(memory->pages.first);
	return ret;
}

/**
 * vgpu_memory_free() - give memory back
 * @memory: not mapped
 *
 * Context: any.
 */
void vgpu_memory_free(struct vgpu_memory *memory)
{
	if (memory->pages.first)
		vgpu_pages_free(&memory->pages);
	else
		kfree(memory->data);
	memory->data = NULL;
}

/**
 * vgpu_memory_map() - let the device reach memory
 * @memory: not mapped
 * @dev: the function's device
 *
 * Context: any; the caller keeps @dev bound.
 * Return: 0; -ENOMEM where it cannot be mapped in one piece.
 */
int vgpu_memory_map(struct vgpu_memory *memory, struct device *dev)
{
	if (!memory->data)
		return 0;
	memory->dma = dma_map_single(dev, memory->data, memory->bytes,
				     memory->direction);
	if (dma_mapping_error(dev, memory->dma))
		return -ENOMEM;
	memory->mapped = true;
	return 0;
}

/**
 * vgpu_memory_unmap() - take memory from the device
 * @memory: mapped or not; the device does not use it
 * @dev: the function's device
 *
 * Context: any; the caller keeps @dev bound.
 */
void vgpu_memory_unmap(struct vgpu_memory *memory, struct device *dev)
{
	if (!memory->mapped)
		return;
	dma_unmap_single(dev, memory->dma, memory->bytes, memory->direction);
	memory->mapped = false;
}
