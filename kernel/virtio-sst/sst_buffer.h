/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_BUFFER_H
#define SST_BUFFER_H

#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>

#include "sst.h"

/**
 * struct sst_buffer - pages that a program and the device share
 * @refs: the file's, and one of each call whose parts are in it
 * @handle: that the file knows it by
 * @page_count: of @pages
 * @pages: each has a reference here and one of each mapping
 */
struct sst_buffer {
	refcount_t refs;
	u32 handle;
	u32 page_count;
	struct page *pages[];
};

/* Place of a buffer in the file, for mmap(): below 2^44, as mmap2() needs. */
#define SST_MMAP_STEP (1ULL << 27)
#define SST_MMAP_OFFSET(handle) ((u64)(handle) * SST_MMAP_STEP)

static inline u64 sst_buffer_size(const struct sst_buffer *buffer)
{
	return (u64)buffer->page_count << PAGE_SHIFT;
}

/* The byte at @offset; what follows it up to the end of its page is there. */
static inline void *sst_buffer_at(const struct sst_buffer *buffer, u64 offset)
{
	return page_address(buffer->pages[offset >> PAGE_SHIFT]) +
	       offset_in_page(offset);
}

int sst_buffer_create(void *context, void *argument);
int sst_buffer_destroy(void *context, void *argument);
int sst_buffer_mmap(struct file *filp, struct vm_area_struct *vma);
struct sst_buffer *sst_buffer_get(struct sst_file *file, u32 handle);
void sst_buffer_put(struct sst_buffer *buffer);
void sst_buffers_close(struct sst_file *file);

#endif /* SST_BUFFER_H */
