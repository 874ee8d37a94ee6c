// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: memory that user space and the device share
 */

/**
 * DOC: pages, their mappings, and who may outlive whom
 *
 * User space maps three kinds of things: buffers and completion rings, which
 * are ordinary pages, and device memory (BAR2).
 *
 * Pages outlive everything else. Each has a reference count, and a mapping
 * holds one, so that what user space has mapped stays valid until it unmaps it,
 * whatever happened to the buffer, the file or the device. The device reaches
 * pages by a streaming DMA mapping, which ends with the buffer or when the
 * function is taken away, whichever is first. Nobody calls dma_sync_*(): where
 * that would be needed (bounce buffers, caches that DMA does not see), making a
 * buffer fails with -EOPNOTSUPP.
 *
 * Device memory dies with the device. Its pages are mapped when they are
 * touched, under node->access, and all such mappings are zapped after the
 * function went away; touching them then is SIGBUS.
 *
 * mmap_lock is outside of node->access and file->lock: nothing here or
 * elsewhere may copy from or to user space while it holds one of them.
 */

#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mock_accel_compat.h"
#include "mock_accel_queue.h"

/**
 * mock_accel_mem_alloc() - get zeroed pages that the device reaches
 * @mem: where to note them
 * @dev: the function's device
 * @size: bytes; what is noted is a power of two of pages
 *
 * Context: may sleep; holds node->access for reading.
 * Return: 0; -ENOMEM; -EOPNOTSUPP if pages would have to be synchronised.
 */
int mock_accel_mem_alloc(struct mock_accel_mem *mem, struct device *dev,
			 size_t size)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
	const unsigned int order = get_order(size);

	mem->page = alloc_pages_node(dev_to_node(dev), gfp, order);
	if (!mem->page)
		return -ENOMEM;
	split_page(mem->page, order);
	mem->size = PAGE_SIZE << order;
	mem->dma =
		dma_map_page(dev, mem->page, 0, mem->size, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, mem->dma)) {
		mock_accel_mem_free(mem, dev);
		return -ENOMEM;
	}
	mem->mapped = true;
	if (dma_need_sync(dev, mem->dma)) {
		mock_accel_mem_free(mem, dev);
		return -EOPNOTSUPP;
	}
	return 0;
}

/**
 * mock_accel_mem_unmap() - take pages from the device
 * @mem: what mock_accel_mem_alloc() filled
 * @dev: the function's device
 *
 * Context: the device does not use the pages.
 */
void mock_accel_mem_unmap(struct mock_accel_mem *mem, struct device *dev)
{
	if (!mem->mapped)
		return;
	dma_unmap_page(dev, mem->dma, mem->size, DMA_BIDIRECTIONAL);
	mem->mapped = false;
}

/**
 * mock_accel_mem_free() - give pages back
 * @mem: what mock_accel_mem_alloc() filled, or zeros
 * @dev: the function's device, NULL if @mem was unmapped already
 */
void mock_accel_mem_free(struct mock_accel_mem *mem, struct device *dev)
{
	size_t i;

	if (!mem->page)
		return;
	mock_accel_mem_unmap(mem, dev);
	for (i = 0; i < mem->size >> PAGE_SHIFT; i++)
		__free_page(mem->page + i);
	mem->page = NULL;
}

/**
 * mock_accel_find_buffer() - a buffer by its handle
 * @file: the file
 * @handle: from user space
 *
 * Context: holds @file->lock.
 * Return: the buffer or NULL.
 */
struct mock_accel_buffer *mock_accel_find_buffer(struct mock_accel_file *file,
						 u32 handle)
{
	lockdep_assert_held(&file->lock);
	if (!handle || handle > MOCK_ACCEL_MAX_BUFFERS)
		return NULL;
	return file->buffers[array_index_nospec(handle - 1,
						MOCK_ACCEL_MAX_BUFFERS)];
}

/* Makes a buffer and puts it into a free place of the file. */
static int mock_accel_buffer_add(struct mock_accel_file *file,
				 struct device *dev, u32 bytes, u32 *handle)
{
	struct mock_accel_buffer *buffer;
	u32 i;
	int ret;

	lockdep_assert_held(&file->lock);
	for (i = 0; i < MOCK_ACCEL_MAX_BUFFERS && file->buffers[i]; i++)
		;
	if (i == MOCK_ACCEL_MAX_BUFFERS)
		return -ENOSPC;
	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return -ENOMEM;
	ret = mock_accel_mem_alloc(&buffer->mem, dev, bytes);
	if (!ret &&
	    buffer->mem.size > MOCK_ACCEL_MAX_FILE_BYTES - file->buffer_bytes) {
		mock_accel_mem_free(&buffer->mem, dev);
		ret = -ENOSPC;
	}
	if (ret) {
		kfree(buffer);
		return ret;
	}
	file->buffer_bytes += buffer->mem.size;
	file->buffers[i] = buffer;
	*handle = i + 1;
	return 0;
}

static void mock_accel_buffer_delete(struct mock_accel_file *file, u32 handle,
				     struct device *dev)
{
	struct mock_accel_buffer *buffer = file->buffers[handle - 1];

	lockdep_assert_held(&file->lock);
	file->buffers[handle - 1] = NULL;
	file->buffer_bytes -= buffer->mem.size;
	mock_accel_mem_free(&buffer->mem, dev);
	kfree(buffer);
}

/**
 * mock_accel_buffer_create_ioctl() - MOCK_ACCEL_IOC_BUFFER_CREATE
 * @file: the open file
 * @arg: its argument
 *
 * Return: 0 or a negative errno, see README.md.
 */
long mock_accel_buffer_create_ioctl(struct mock_accel_file *file,
				    struct mock_accel_buffer_create __user *arg)
{
	struct mock_accel_buffer_create create;
	struct mock_accel_function *func;
	struct device *dev;
	int ret;

	BUILD_BUG_ON(sizeof(create) != 24);
	ret = mock_accel_copy_in(&create, arg, sizeof(create));
	if (ret)
		return ret;
	if (create.reserved || !create.bytes ||
	    create.bytes > MOCK_ACCEL_MAX_BUFFER_BYTES)
		return -EINVAL;

	func = mock_accel_get_function(file->node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	dev = &func->pdev->dev;
	mutex_lock(&file->lock);
	ret = mock_accel_buffer_add(file, dev, create.bytes, &create.buffer);
	if (!ret)
		create.bytes = file->buffers[create.buffer - 1]->mem.size;
	mutex_unlock(&file->lock);
	mock_accel_put_function(file->node);
	if (ret)
		return ret;

	create.size = sizeof(create);
	create.mmap_offset = MOCK_ACCEL_MMAP_BUFFER(create.buffer);
	/* Whoever loses a handle so gets the buffer back by closing the file. */
	return copy_to_user(arg, &create, sizeof(create)) ? -EFAULT : 0;
}

/**
 * mock_accel_buffer_destroy_ioctl() - MOCK_ACCEL_IOC_BUFFER_DESTROY
 * @file: the open file
 * @arg: its argument
 *
 * Return: 0 or a negative errno, see README.md.
 */
long mock_accel_buffer_destroy_ioctl(struct mock_accel_file *file,
				     struct mock_accel_destroy __user *arg)
{
	struct mock_accel_destroy destroy;
	struct mock_accel_function *func;
	struct mock_accel_buffer *buffer;
	int ret;
	u32 i;

	ret = mock_accel_copy_in(&destroy, arg, sizeof(destroy));
	if (ret)
		return ret;
	func = mock_accel_get_function(file->node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	mutex_lock(&file->lock);
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES; i++)
		if (file->queues[i])
			mock_accel_queue_scan(file->queues[i]);
	buffer = mock_accel_find_buffer(file, destroy.handle);
	if (!buffer)
		ret = -EINVAL;
	else if (buffer->in_flight)
		ret = -EBUSY;
	else
		mock_accel_buffer_delete(file, destroy.handle,
					 &func->pdev->dev);
	mutex_unlock(&file->lock);
	mock_accel_put_function(file->node);
	return ret;
}

/**
 * mock_accel_file_free_buffers() - free all buffers of a file
 * @file: a file without queues
 * @dev: the function's device, NULL if it went away
 *
 * Context: holds @file->lock.
 */
void mock_accel_file_free_buffers(struct mock_accel_file *file,
				  struct device *dev)
{
	u32 i;

	for (i = 0; i < MOCK_ACCEL_MAX_BUFFERS; i++)
		if (file->buffers[i])
			mock_accel_buffer_delete(file, i + 1, dev);
}

static vm_fault_t mock_accel_memory_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	const struct mock_accel_file *file = vma->vm_file->private_data;
	struct mock_accel_node *node = file->node;
	struct mock_accel_function *func;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	u64 offset;

	down_read(&node->access);
	func = node->func;
	offset = ((u64)vmf->pgoff << PAGE_SHIFT) - MOCK_ACCEL_MMAP_MEMORY;
	if (func && offset < func->memory_bytes) {
		const phys_addr_t start =
			pci_resource_start(func->pdev, MOCK_ACCEL_MEMORY_BAR);

		ret = vmf_insert_pfn(vma, vmf->address,
				     (start + offset) >> PAGE_SHIFT);
	}
	up_read(&node->access);
	return ret;
}

static const struct vm_operations_struct mock_accel_memory_ops = {
	.fault = mock_accel_memory_fault,
};

static int mock_accel_mmap_memory(struct mock_accel_file *file,
				  struct vm_area_struct *vma, u64 offset)
{
	const u64 size = vma->vm_end - vma->vm_start;
	struct mock_accel_node *node = file->node;
	u64 memory_bytes;
	int ret = -ENODEV;

	down_read(&node->access);
	if (node->func) {
		memory_bytes = node->func->memory_bytes;
		ret = offset < memory_bytes && size <= memory_bytes - offset ?
			      0 :
			      -EINVAL;
	}
	up_read(&node->access);
	if (ret)
		return ret;
	vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	mock_accel_vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND |
					     VM_DONTDUMP);
	vma->vm_ops = &mock_accel_memory_ops;
	return 0;
}

static int mock_accel_mmap_pages(struct vm_area_struct *vma,
				 const struct mock_accel_mem *mem, u64 offset)
{
	const size_t size = vma->vm_end - vma->vm_start;
	size_t done;
	int ret;

	if (offset >= mem->size || size > mem->size - offset)
		return -EINVAL;
	mock_accel_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	for (done = 0; done < size; done += PAGE_SIZE) {
		ret = vm_insert_page(vma, vma->vm_start + done,
				     mem->page +
					     ((offset + done) >> PAGE_SHIFT));
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * mock_accel_mmap() - map a buffer, a completion ring or device memory
 * @filp: the open file
 * @vma: where to
 *
 * Context: holds mmap_lock; takes node->access for reading or file->lock.
 * Return: 0; -EINVAL for nothing that can be mapped so; -EACCES for a writable
 * completion ring; -ENODEV.
 */
int mock_accel_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct mock_accel_file *file = filp->private_data;
	const u64 at = (u64)vma->vm_pgoff << PAGE_SHIFT;
	const u64 offset = at & (MOCK_ACCEL_MMAP_STEP - 1);
	const struct mock_accel_buffer *buffer;
	const struct mock_accel_queue *queue;
	int ret = -EINVAL;
	u32 handle;

	/* A private mapping would show each process its own copy. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (at >= MOCK_ACCEL_MMAP_MEMORY)
		return mock_accel_mmap_memory(file, vma,
					      at - MOCK_ACCEL_MMAP_MEMORY);

	mutex_lock(&file->lock);
	if (at >= MOCK_ACCEL_MMAP_BUFFER(0)) {
		handle = min_t(u64, U32_MAX,
			       (at - MOCK_ACCEL_MMAP_BUFFER(0)) /
				       MOCK_ACCEL_MMAP_STEP);
		buffer = mock_accel_find_buffer(file, handle);
		if (buffer)
			ret = mock_accel_mmap_pages(vma, &buffer->mem, offset);
	} else if (at >= MOCK_ACCEL_MMAP_QUEUE(0)) {
		handle = min_t(u64, U32_MAX,
			       (at - MOCK_ACCEL_MMAP_QUEUE(0)) /
				       MOCK_ACCEL_MMAP_STEP);
		queue = mock_accel_find_queue(file, handle);
		if (queue && (vma->vm_flags & VM_WRITE)) {
			ret = -EACCES;
		} else if (queue) {
			mock_accel_vm_flags_clear(vma, VM_MAYWRITE);
			ret = mock_accel_mmap_pages(vma, &queue->completions,
						    offset);
		}
	}
	mutex_unlock(&file->lock);
	return ret;
}
