/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_PAGES_H
#define VGPU_PAGES_H

#include <linux/mm_types.h>
#include <linux/types.h>

/**
 * struct vgpu_pages - pages next to each other, each with a reference of its own
 * @first: the first, NULL: none
 * @count: of them
 */
struct vgpu_pages {
	struct page *first;
	u32 count;
};

int vgpu_pages_alloc(struct vgpu_pages *pages, int node, size_t bytes);
void vgpu_pages_free(struct vgpu_pages *pages);

#endif /* VGPU_PAGES_H */
