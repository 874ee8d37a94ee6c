// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: what user space maps
 */

/**
 * DOC: three kinds of things to map
 *
 * User space maps buffers and completion rings, which are ordinary pages and
 * outlive all else (mimic_mem.c), and device memory (BAR2).
 *
 * Device memory dies with the device. Its pages are mapped when they are
 * touched, under node->access, and all such mappings are zapped after the
 * function went away; touching them then is SIGBUS.
 *
 * mmap_lock is outside of node->access and file->lock: nothing here or
 * elsewhere may copy from or to user space while it holds one of them.
 */

#include <linux/fs.h>
#include <linux/mm.h>

#include "mimic_compat.h"
#include "mock_accel_buffer.h"
#include "mock_accel_mmap.h"
#include "mock_accel_queue.h"

static vm_fault_t mock_accel_memory_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	const struct mock_accel_file *file = vma->vm_file->private_data;
	struct mock_accel_node *node = mock_accel_node_of(file);
	struct mock_accel_function *func;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	u64 offset;

	down_read(&node->base.access);
	func = node->func;
	offset = ((u64)vmf->pgoff << PAGE_SHIFT) - MOCK_ACCEL_MMAP_MEMORY;
	if (func && offset < func->memory_bytes) {
		const phys_addr_t start =
			pci_resource_start(func->pdev, MOCK_ACCEL_MEMORY_BAR);

		ret = vmf_insert_pfn(vma, vmf->address,
				     (start + offset) >> PAGE_SHIFT);
	}
	up_read(&node->base.access);
	return ret;
}

static const struct vm_operations_struct mock_accel_memory_ops = {
	.fault = mock_accel_memory_fault,
};

static int mock_accel_mmap_memory(struct mock_accel_file *file,
				  struct vm_area_struct *vma, u64 offset)
{
	const u64 size = vma->vm_end - vma->vm_start;
	struct mock_accel_node *node = mock_accel_node_of(file);
	u64 memory_bytes;
	int ret = -ENODEV;

	down_read(&node->base.access);
	if (node->func) {
		memory_bytes = node->func->memory_bytes;
		ret = -EINVAL;
		if (offset < memory_bytes && size <= memory_bytes - offset)
			ret = 0;
	}
	up_read(&node->base.access);
	if (ret)
		return ret;
	vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	mimic_vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND |
				VM_DONTDUMP);
	vma->vm_ops = &mock_accel_memory_ops;
	return 0;
}

/* What a handle at @start stands for; no handle has so large a number. */
static u32 mock_accel_mmap_handle(u64 at, u64 start)
{
	return min_t(u64, U32_MAX, (at - start) / MOCK_ACCEL_MMAP_STEP);
}

static int mock_accel_mmap_buffer(struct mock_accel_file *file, u32 handle,
				  struct vm_area_struct *vma, u64 offset)
{
	const struct mock_accel_buffer *buffer;

	buffer = mock_accel_find_buffer(file, handle);
	return buffer ? mimic_mem_mmap(&buffer->mem, vma, offset) : -EINVAL;
}

static int mock_accel_mmap_completions(struct mock_accel_file *file, u32 handle,
				       struct vm_area_struct *vma, u64 offset)
{
	const struct mock_accel_queue *queue;

	queue = mock_accel_find_queue(file, handle);
	if (!queue)
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
	mimic_vm_flags_clear(vma, VM_MAYWRITE);
	return mimic_mem_mmap(&queue->completions, vma, offset);
}

/**
 * mock_accel_mmap() - map a buffer, a completion ring or device memory
 * @filp: the open file
 * @vma: where to
 *
 * Context: holds mmap_lock; takes node->base.access for reading or file->lock.
 * Return: 0; -EINVAL for nothing that can be mapped so; -EACCES for a writable
 * completion ring; -ENODEV.
 */
int mock_accel_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct mock_accel_file *file = filp->private_data;
	const u64 at = (u64)vma->vm_pgoff << PAGE_SHIFT;
	const u64 offset = at & (MOCK_ACCEL_MMAP_STEP - 1);
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
		handle = mock_accel_mmap_handle(at, MOCK_ACCEL_MMAP_BUFFER(0));
		ret = mock_accel_mmap_buffer(file, handle, vma, offset);
	} else if (at >= MOCK_ACCEL_MMAP_QUEUE(0)) {
		handle = mock_accel_mmap_handle(at, MOCK_ACCEL_MMAP_QUEUE(0));
		ret = mock_accel_mmap_completions(file, handle, vma, offset);
	}
	mutex_unlock(&file->lock);
	return ret;
}
