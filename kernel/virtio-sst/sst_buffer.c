// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: memory that a program and the device share
 */

/**
 * DOC: buffers
 *
 * A buffer is a set of zeroed pages. A program maps it, puts requests into it
 * and names them by offset; the queue gets the pages themselves, and the answer
 * is in the program's memory when it is complete. Nothing is copied.
 *
 * Pages live as long as anybody has them: the buffer, a mapping, a call that
 * the device was given. The virtio core maps them for DMA request by request,
 * so bounce buffers work, too. What is in a buffer may change under the
 * driver's eyes: only the device reads requests, and what the driver reads of
 * an answer it reads once.
 */

#include <linux/nospec.h>
#include <linux/slab.h>

#include "mimic_compat.h"
#include "sst_buffer.h"

static void sst_buffer_free(struct sst_buffer *buffer)
{
	u32 i;

	for (i = 0; i < buffer->page_count && buffer->pages[i]; i++)
		__free_page(buffer->pages[i]);
	kvfree(buffer);
}

static struct sst_buffer *sst_buffer_alloc(u32 page_count)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
	struct sst_buffer *buffer;
	u32 i;

	buffer = kvzalloc(struct_size(buffer, pages, page_count),
			  GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return NULL;
	refcount_set(&buffer->refs, 1);
	buffer->page_count = page_count;
	for (i = 0; i < page_count; i++) {
		buffer->pages[i] = alloc_page(gfp);
		if (!buffer->pages[i]) {
			sst_buffer_free(buffer);
			return NULL;
		}
	}
	return buffer;
}

/**
 * sst_buffer_put() - give a reference back
 * @buffer: or NULL
 *
 * Context: any.
 */
void sst_buffer_put(struct sst_buffer *buffer)
{
	if (buffer && refcount_dec_and_test(&buffer->refs))
		sst_buffer_free(buffer);
}

/**
 * sst_buffer_get() - find a buffer
 * @file: whose
 * @handle: from user space
 *
 * Context: may sleep.
 * Return: the buffer with a reference, or NULL.
 */
struct sst_buffer *sst_buffer_get(struct sst_file *file, u32 handle)
{
	struct sst_buffer *buffer = NULL;
	u32 index = handle - 1;

	if (index >= SST_MAX_BUFFERS)
		return NULL;
	index = array_index_nospec(index, SST_MAX_BUFFERS);
	mutex_lock(&file->buffers_lock);
	buffer = file->buffers[index];
	if (buffer)
		refcount_inc(&buffer->refs);
	mutex_unlock(&file->buffers_lock);
	return buffer;
}

/* Notes a buffer; buffers_lock is held. */
static int sst_buffer_note(struct sst_file *file, struct sst_buffer *buffer)
{
	u32 i;

	if (sst_buffer_size(buffer) > SST_MAX_BUFFER_BYTES - file->buffer_bytes)
		return -ENOSPC;
	for (i = 0; i < SST_MAX_BUFFERS; i++) {
		if (file->buffers[i])
			continue;
		buffer->handle = i + 1;
		file->buffers[i] = buffer;
		file->buffer_bytes += sst_buffer_size(buffer);
		return 0;
	}
	return -ENOSPC;
}

/* SST_IOC_BUFFER_CREATE */
int sst_buffer_create(void *context, void *argument)
{
	struct sst_buffer_create *create = argument;
	struct sst_file *file = context;
	struct sst_buffer *buffer;
	int ret;

	if (!create->bytes)
		return -EINVAL;
	if (create->bytes > SST_MAX_BUFFER_BYTES)
		return -ENOSPC;
	buffer = sst_buffer_alloc(PAGE_ALIGN(create->bytes) >> PAGE_SHIFT);
	if (!buffer)
		return -ENOMEM;
	/* Read while it is ours alone: a sibling may guess its handle. */
	create->bytes = sst_buffer_size(buffer);
	mutex_lock(&file->buffers_lock);
	ret = sst_buffer_note(file, buffer);
	create->handle = buffer->handle;
	mutex_unlock(&file->buffers_lock);
	if (ret) {
		sst_buffer_put(buffer);
		return ret;
	}
	create->mmap_offset = SST_MMAP_OFFSET(create->handle);
	return 0;
}

/* SST_IOC_BUFFER_DESTROY */
int sst_buffer_destroy(void *context, void *argument)
{
	const struct sst_buffer_destroy *destroy = argument;
	struct sst_file *file = context;
	struct sst_buffer *buffer;
	u32 index = destroy->handle - 1;

	if (index >= SST_MAX_BUFFERS)
		return -EINVAL;
	index = array_index_nospec(index, SST_MAX_BUFFERS);
	mutex_lock(&file->buffers_lock);
	buffer = file->buffers[index];
	file->buffers[index] = NULL;
	if (buffer)
		file->buffer_bytes -= sst_buffer_size(buffer);
	mutex_unlock(&file->buffers_lock);
	if (!buffer)
		return -EINVAL;
	sst_buffer_put(buffer);
	return 0;
}

/**
 * sst_buffer_mmap() - show a buffer to user space
 * @filp: an open file
 * @vma: where to; its offset says which buffer, and from where on
 *
 * Return: 0; -EINVAL if there is no such part of a buffer, or the mapping is
 * private; what the memory management says.
 */
int sst_buffer_mmap(struct file *filp, struct vm_area_struct *vma)
{
	const u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	const unsigned long count = vma_pages(vma);
	struct sst_buffer *buffer;
	unsigned long first, i;
	int ret = 0;

	if (!(vma->vm_flags & VM_SHARED) ||
	    offset >= SST_MMAP_OFFSET(SST_MAX_BUFFERS + 1))
		return -EINVAL;
	buffer = sst_buffer_get(filp->private_data, offset / SST_MMAP_STEP);
	if (!buffer)
		return -EINVAL;
	first = (offset % SST_MMAP_STEP) >> PAGE_SHIFT;
	if (first >= buffer->page_count || count > buffer->page_count - first)
		ret = -EINVAL;
	else
		mimic_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	for (i = 0; i < count && !ret; i++)
		ret = vm_insert_page(vma, vma->vm_start + (i << PAGE_SHIFT),
				     buffer->pages[first + i]);
	sst_buffer_put(buffer);
	return ret;
}

/**
 * sst_buffers_close() - a file is closed
 * @file: nobody else uses it
 */
void sst_buffers_close(struct sst_file *file)
{
	u32 i;

	for (i = 0; i < SST_MAX_BUFFERS; i++)
		sst_buffer_put(file->buffers[i]);
}
