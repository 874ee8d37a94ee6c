/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory that a device and user space share.
 */
#ifndef MIMIC_MEM_H
#define MIMIC_MEM_H

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/types.h>

/**
 * struct mimic_mem - physically contiguous pages that the device reaches
 * @page: the first page; each has a reference of its own, so that a mapping of
 *	user space keeps what it shows after this object is gone
 * @size: bytes, whole pages
 * @dma: bus address while @mapped
 * @mapped: the device can reach the pages
 */
struct mimic_mem {
	struct page *page;
	size_t size;
	dma_addr_t dma;
	bool mapped;
};

int mimic_mem_alloc(struct mimic_mem *mem, struct device *dev, size_t size);
void mimic_mem_unmap(struct mimic_mem *mem, struct device *dev);
void mimic_mem_free(struct mimic_mem *mem, struct device *dev);
int mimic_mem_mmap(const struct mimic_mem *mem, struct vm_area_struct *vma,
		   u64 offset);

#endif /* MIMIC_MEM_H */
