// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: memory that a program and the device share
 */

/**
 * DOC: buffers
 *
 * A buffer is a set of zeroed pages next to each other. A program maps it, puts
 * requests into it and names them by offset; the device gets the address, and
 * the answer is in the program's memory when it is complete. Nothing is copied.
 *
 * Pages live as long as anybody has them: the buffer, a mapping, a call that
 * the device was given. The device reaches them from the buffer's creation
 * until its end, or until the device goes. Nobody calls dma_sync_*(): where
 * that would be needed, there are no buffers.
 */

#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "mimic_compat.h"
#include "vgpu_buffer.h"

/* The device's list and the mapping; buffers_lock is held. */
static void vgpu_buffer_unmap(struct vgpu_buffer *buffer)
{
	if (!buffer->mapped)
		return;
	dma_unmap_page(&buffer->dev->pdev->dev, buffer->dma,
		       vgpu_buffer_size(buffer), DMA_BIDIRECTIONAL);
	buffer->mapped = false;
	list_del_init(&buffer->link);
}

static void vgpu_buffer_free(struct vgpu_buffer *buffer)
{
	struct vgpu_device *dev = buffer->dev;
	unsigned long flags;

	spin_lock_irqsave(&dev->buffers_lock, flags);
	vgpu_buffer_unmap(buffer);
	spin_unlock_irqrestore(&dev->buffers_lock, flags);
	vgpu_pages_free(&buffer->pages);
	kfree(buffer);
}

/**
 * vgpu_buffers_unmap() - the device goes, and reaches no buffer any more
 * @dev: stopped; @dev->pdev is still there
 */
void vgpu_buffers_unmap(struct vgpu_device *dev)
{
	struct vgpu_buffer *buffer, *next;
	unsigned long flags;

	spin_lock_irqsave(&dev->buffers_lock, flags);
	list_for_each_entry_safe(buffer, next, &dev->buffers, link)
		vgpu_buffer_unmap(buffer);
	spin_unlock_irqrestore(&dev->buffers_lock, flags);
}

/* Lets the device reach a buffer; the node's access is held for reading. */
static int vgpu_buffer_map(struct vgpu_buffer *buffer)
{
	struct vgpu_device *dev = buffer->dev;
	struct device *parent = &dev->pdev->dev;
	unsigned long flags;

	if (!vgpu_device_has_dma(dev))
		return 0;
	buffer->dma = dma_map_page(parent, buffer->pages.first, 0,
				   vgpu_buffer_size(buffer), DMA_BIDIRECTIONAL);
	if (dma_mapping_error(parent, buffer->dma))
		return -ENOMEM;
	spin_lock_irqsave(&dev->buffers_lock, flags);
	buffer->mapped = true;
	list_add(&buffer->link, &dev->buffers);
	spin_unlock_irqrestore(&dev->buffers_lock, flags);
	return dma_need_sync(parent, buffer->dma) ? -EOPNOTSUPP : 0;
}

/**
 * vgpu_buffer_put() - give a reference back
 * @buffer: or NULL
 *
 * Context: any.
 */
void vgpu_buffer_put(struct vgpu_buffer *buffer)
{
	if (buffer && refcount_dec_and_test(&buffer->refs))
		vgpu_buffer_free(buffer);
}

/**
 * vgpu_buffer_get() - find a buffer
 * @file: whose
 * @handle: from user space
 *
 * Context: may sleep.
 * Return: the buffer with a reference, or NULL.
 */
struct vgpu_buffer *vgpu_buffer_get(struct vgpu_file *file, u32 handle)
{
	struct vgpu_buffer *buffer;
	u32 index = handle - 1;

	if (index >= VGPU_MAX_BUFFERS)
		return NULL;
	index = array_index_nospec(index, VGPU_MAX_BUFFERS);
	mutex_lock(&file->buffers_lock);
	buffer = file->buffers[index];
	if (buffer)
		refcount_inc(&buffer->refs);
	mutex_unlock(&file->buffers_lock);
	return buffer;
}

static struct vgpu_buffer *vgpu_buffer_alloc(struct vgpu_device *dev, u64 bytes)
{
	struct vgpu_buffer *buffer;

	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return NULL;
	buffer->dev = dev;
	refcount_set(&buffer->refs, 1);
	INIT_LIST_HEAD(&buffer->link);
	if (!vgpu_pages_alloc(&buffer->pages, dev_to_node(&dev->base.dev),
			      bytes))
		return buffer;
	kfree(buffer);
	return NULL;
}

/* Notes a buffer; buffers_lock is held. */
static int vgpu_buffer_note(struct vgpu_file *file, struct vgpu_buffer *buffer)
{
	const u64 size = vgpu_buffer_size(buffer);
	u32 i;

	if (size > VGPU_MAX_FILE_BYTES - file->buffer_bytes)
		return -ENOSPC;
	for (i = 0; i < VGPU_MAX_BUFFERS; i++) {
		if (file->buffers[i])
			continue;
		buffer->handle = i + 1;
		file->buffers[i] = buffer;
		file->buffer_bytes += size;
		return 0;
	}
	return -ENOSPC;
}

/**
 * vgpu_buffer_create() - VGPU_IOC_BUFFER_CREATE
 * @file: open
 * @create: from user space, and back
 *
 * Return: 0 or a negative errno.
 */
int vgpu_buffer_create(struct vgpu_file *file,
		       struct vgpu_buffer_create *create)
{
	struct vgpu_device *dev = file->dev;
	struct vgpu_buffer *buffer;
	int ret;

	if (!create->bytes)
		return -EINVAL;
	if (create->bytes > VGPU_MAX_BUFFER_BYTES)
		return -ENOSPC;
	buffer = vgpu_buffer_alloc(dev, create->bytes);
	if (!buffer)
		return -ENOMEM;
	down_read(&dev->base.access);
	ret = dev->base.gone ? -ENODEV : vgpu_buffer_map(buffer);
	/* Read while it is ours alone: a sibling may guess its handle. */
	create->bytes = vgpu_buffer_size(buffer);
	if (!ret) {
		mutex_lock(&file->buffers_lock);
		ret = vgpu_buffer_note(file, buffer);
		create->handle = buffer->handle;
		mutex_unlock(&file->buffers_lock);
	}
	if (ret)
		vgpu_buffer_put(buffer);
	up_read(&dev->base.access);
	create->mmap_offset = VGPU_MMAP_OFFSET(create->handle);
	return ret;
}

/**
 * vgpu_buffer_destroy() - VGPU_IOC_BUFFER_DESTROY
 * @file: open
 * @destroy: from user space
 *
 * Return: 0 or -EINVAL.
 */
int vgpu_buffer_destroy(struct vgpu_file *file,
			const struct vgpu_buffer_destroy *destroy)
{
	struct vgpu_buffer *buffer;
	u32 index = destroy->handle - 1;

	if (index >= VGPU_MAX_BUFFERS)
		return -EINVAL;
	index = array_index_nospec(index, VGPU_MAX_BUFFERS);
	mutex_lock(&file->buffers_lock);
	buffer = file->buffers[index];
	file->buffers[index] = NULL;
	if (buffer)
		file->buffer_bytes -= vgpu_buffer_size(buffer);
	mutex_unlock(&file->buffers_lock);
	if (!buffer)
		return -EINVAL;
	vgpu_buffer_put(buffer);
	return 0;
}

/**
 * vgpu_buffer_mmap() - show a buffer to user space
 * @filp: an open file
 * @vma: where to; its offset says which buffer, and from where on
 *
 * Return: 0; -EINVAL if there is no such part of a buffer, or the mapping is
 * private; what the memory management says.
 */
int vgpu_buffer_mmap(struct file *filp, struct vm_area_struct *vma)
{
	const u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	const unsigned long count = vma_pages(vma);
	struct vgpu_buffer *buffer;
	unsigned long first, i;
	int ret = 0;

	if (!(vma->vm_flags & VM_SHARED) ||
	    offset >= VGPU_MMAP_OFFSET(VGPU_MAX_BUFFERS + 1))
		return -EINVAL;
	buffer = vgpu_buffer_get(filp->private_data, offset / VGPU_MMAP_STEP);
	if (!buffer)
		return -EINVAL;
	first = (offset % VGPU_MMAP_STEP) >> PAGE_SHIFT;
	if (first >= buffer->pages.count || count > buffer->pages.count - first)
		ret = -EINVAL;
	else
		mimic_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	for (i = 0; i < count && !ret; i++)
		ret = vm_insert_page(vma, vma->vm_start + (i << PAGE_SHIFT),
				     buffer->pages.first + first + i);
	vgpu_buffer_put(buffer);
	return ret;
}

/**
 * vgpu_buffers_close() - a file is closed
 * @file: nobody else uses it
 */
void vgpu_buffers_close(struct vgpu_file *file)
{
	u32 i;

	for (i = 0; i < VGPU_MAX_BUFFERS; i++)
		vgpu_buffer_put(file->buffers[i]);
}
