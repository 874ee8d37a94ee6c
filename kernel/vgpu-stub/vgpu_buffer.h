/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_BUFFER_H
#define VGPU_BUFFER_H

#include <linux/dma-mapping.h>
#include <linux/refcount.h>

#include "vgpu.h"
#include "vgpu_pages.h"

/**
 * struct vgpu_buffer - pages that a program and the device share
 * @dev: outlives it
 * @refs: the file's, and one of each call that is in it
 * @handle: that the file knows it by
 * @pages: each has a reference here and one of each mapping
 * @dma: bus address while @mapped
 * @mapped: the device reaches the pages; under the device's buffers_lock
 * @link: in the device's list while @mapped; the same
 */
struct vgpu_buffer {
	struct vgpu_device *dev;
	refcount_t refs;
	u32 handle;
	struct vgpu_pages pages;
	dma_addr_t dma;
	bool mapped;
	struct list_head link;
};

/* Place of a buffer in the file, for mmap(): below 2^44, as mmap2() needs. */
#define VGPU_MMAP_STEP (1ULL << 27)
#define VGPU_MMAP_OFFSET(handle) ((u64)(handle) * VGPU_MMAP_STEP)

static inline u64 vgpu_buffer_size(const struct vgpu_buffer *buffer)
{
	return (u64)buffer->pages.count << PAGE_SHIFT;
}

/* The byte at @offset; what follows it up to the end of the buffer is there. */
static inline void *vgpu_buffer_at(const struct vgpu_buffer *buffer, u64 offset)
{
	return page_address(buffer->pages.first) + offset;
}

int vgpu_buffer_create(struct vgpu_file *file,
		       struct vgpu_buffer_create *create);
int vgpu_buffer_destroy(struct vgpu_file *file,
			const struct vgpu_buffer_destroy *destroy);
int vgpu_buffer_mmap(struct file *filp, struct vm_area_struct *vma);
struct vgpu_buffer *vgpu_buffer_get(struct vgpu_file *file, u32 handle);
void vgpu_buffer_put(struct vgpu_buffer *buffer);
void vgpu_buffers_close(struct vgpu_file *file);
void vgpu_buffers_unmap(struct vgpu_device *dev);

#endif /* VGPU_BUFFER_H */
