// SPDX-License-Identifier: GPL-2.0
/*
 * mimic: memory that a device and user space share
 */

/**
 * DOC: pages and their mappings
 *
 * Pages outlive everything else. Each has a reference count, and a mapping
 * holds one, so that what user space has mapped stays valid until it unmaps it,
 * whatever happened to the object, the file or the device. The device reaches
 * pages by a streaming DMA mapping, which ends with the object or when the
 * function is taken away, whichever is first. Nobody calls dma_sync_*(): where
 * that would be needed (bounce buffers, caches that DMA does not see), pages
 * cannot be had and the error is -EOPNOTSUPP.
 */

#include <linux/dma-mapping.h>
#include <linux/gfp.h>

#include "mimic_compat.h"
#include "mimic_mem.h"

/**
 * mimic_mem_alloc() - get zeroed pages that the device reaches
 * @mem: where to note them
 * @dev: the function's device
 * @size: bytes; what is noted is a power of two of pages
 *
 * Context: may sleep; the caller keeps @dev bound.
 * Return: 0; -ENOMEM; -EOPNOTSUPP if pages would have to be synchronised.
 */
int mimic_mem_alloc(struct mimic_mem *mem, struct device *dev, size_t size)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
	const unsigned int order = get_order(size);

	mem->page = alloc_pages_node(dev_to_node(dev), gfp, order);
	if (!mem->page)
		return -ENOMEM;
	split_page(mem->page, order);
	mem->size = PAGE_SIZE << order;
	mem->dma = dma_map_page(dev, mem->page, 0, mem->size,
				DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, mem->dma)) {
		mimic_mem_free(mem, dev);
		return -ENOMEM;
	}
	mem->mapped = true;
	if (dma_need_sync(dev, mem->dma)) {
		mimic_mem_free(mem, dev);
		return -EOPNOTSUPP;
	}
	return 0;
}

/**
 * mimic_mem_unmap() - take pages from the device
 * @mem: what mimic_mem_alloc() filled
 * @dev: the function's device
 *
 * Context: the device does not use the pages.
 */
void mimic_mem_unmap(struct mimic_mem *mem, struct device *dev)
{
	if (!mem->mapped)
		return;
	dma_unmap_page(dev, mem->dma, mem->size, DMA_BIDIRECTIONAL);
	mem->mapped = false;
}

/**
 * mimic_mem_free() - give pages back
 * @mem: what mimic_mem_alloc() filled, or zeros
 * @dev: the function's device, NULL if @mem was unmapped already
 */
void mimic_mem_free(struct mimic_mem *mem, struct device *dev)
{
	size_t i;

	if (!mem->page)
		return;
	mimic_mem_unmap(mem, dev);
	for (i = 0; i < mem->size >> PAGE_SHIFT; i++)
		__free_page(mem->page + i);
	mem->page = NULL;
}

/**
 * mimic_mem_mmap() - show pages to user space
 * @mem: the pages
 * @vma: where to
 * @offset: of the first byte in @mem, a multiple of a page
 *
 * Context: holds mmap_lock; @mem is not freed meanwhile, but may be afterwards.
 * Return: 0; -EINVAL if @vma is larger than what @mem has from @offset on; what
 * the memory management says.
 */
int mimic_mem_mmap(const struct mimic_mem *mem, struct vm_area_struct *vma,
		   u64 offset)
{
	const size_t size = vma->vm_end - vma->vm_start;
	struct page *page;
	size_t done;
	int ret;

	if (offset >= mem->size || size > mem->size - offset)
		return -EINVAL;
	mimic_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	page = mem->page + (offset >> PAGE_SHIFT);
	for (done = 0; done < size; done += PAGE_SIZE, page++) {
		ret = vm_insert_page(vma, vma->vm_start + done, page);
		if (ret)
			return ret;
	}
	return 0;
}
