// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: pages that are next to each other
 */

/**
 * DOC: more than the page allocator has in one piece
 *
 * The device takes one address for a request of up to 16 MiB. The page
 * allocator's largest piece is 4 MiB on most machines, and a module cannot ask
 * for more. But large pieces that are free are often neighbours: so they are
 * taken one by one until some of them are next to each other, and the others
 * are given back. That takes memory that is free only, of which nothing is lost
 * when it fails.
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "vgpu_compat.h"
#include "vgpu_pages.h"

/* Pieces that a search may hold beyond those that it needs; arbitrary. */
#define VGPU_PAGES_SPARE 32

#define VGPU_PAGES_PIECE (1u << VGPU_MAX_ORDER)

static const gfp_t vgpu_pages_gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;

/* Gives the pages from @from to @to back. */
static void vgpu_pages_put(struct page *first, u32 from, u32 to)
{
	u32 i;

	for (i = from; i < to; i++)
		__free_page(first + i);
}

/**
 * vgpu_pages_free() - give pages back
 * @pages: of vgpu_pages_alloc(), or zeros
 *
 * Context: any.
 */
void vgpu_pages_free(struct vgpu_pages *pages)
{
	if (pages->first)
		vgpu_pages_put(pages->first, 0, pages->count);
	pages->first = NULL;
}

/* One piece of the page allocator, cut to size. */
static struct page *vgpu_pages_piece(int node, u32 count)
{
	const unsigned int order = get_order((size_t)count << PAGE_SHIFT);
	struct page *first = alloc_pages_node(node, vgpu_pages_gfp, order);

	if (!first)
		return NULL;
	split_page(first, order);
	vgpu_pages_put(first, count, 1u << order);
	return first;
}

/* Puts @piece into the sorted @pieces; returns where. */
static u32 vgpu_pages_sort_in(struct page **pieces, u32 held,
			      struct page *piece)
{
	u32 place = held;

	for (; place && page_to_pfn(pieces[place - 1]) > page_to_pfn(piece);
	     place--)
		pieces[place] = pieces[place - 1];
	pieces[place] = piece;
	return place;
}

static bool vgpu_pages_are_neighbours(const struct page *low,
				      const struct page *high)
{
	return page_to_pfn(high) == page_to_pfn(low) + VGPU_PAGES_PIECE;
}

/* The first of @need neighbours around @place, or -1. */
static int vgpu_pages_run(struct page **pieces, u32 held, u32 place, u32 need)
{
	u32 first = place, last = place;

	while (first &&
	       vgpu_pages_are_neighbours(pieces[first - 1], pieces[first]))
		first--;
	while (last + 1 < held &&
	       vgpu_pages_are_neighbours(pieces[last], pieces[last + 1]))
		last++;
	return last - first + 1 >= need ? (int)first : -1;
}

/* Takes pieces until @need of them are neighbours. */
static struct page *vgpu_pages_search(int node, u32 need)
{
	const u32 most = need + VGPU_PAGES_SPARE;
	struct page **pieces, *piece, *found = NULL;
	u32 held = 0, i;
	int first = -1;

	pieces = kcalloc(most, sizeof(*pieces), GFP_KERNEL);
	if (!pieces)
		return NULL;
	while (held < most && first < 0) {
		piece = alloc_pages_node(node, vgpu_pages_gfp | __GFP_NORETRY,
					 VGPU_MAX_ORDER);
		if (!piece)
			break;
		first = vgpu_pages_run(pieces, held + 1,
				       vgpu_pages_sort_in(pieces, held, piece),
				       need);
		held++;
	}
	for (i = 0; i < held; i++) {
		if (first >= 0 && i >= (u32)first && i < first + need)
			split_page(pieces[i], VGPU_MAX_ORDER);
		else
			__free_pages(pieces[i], VGPU_MAX_ORDER);
	}
	if (first >= 0)
		found = pieces[first];
	kfree(pieces);
	return found;
}

/**
 * vgpu_pages_alloc() - get zeroed pages
 * @pages: filled in
 * @node: of memory
 * @bytes: not 0
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vgpu_pages_alloc(struct vgpu_pages *pages, int node, size_t bytes)
{
	const u32 count = DIV_ROUND_UP(bytes, PAGE_SIZE);
	const u32 need = DIV_ROUND_UP(count, VGPU_PAGES_PIECE);

	if (need <= 1) {
		pages->first = vgpu_pages_piece(node, count);
	} else {
		pages->first = vgpu_pages_search(node, need);
		if (pages->first)
			vgpu_pages_put(pages->first, count,
				       need * VGPU_PAGES_PIECE);
	}
	if (!pages->first)
		return -ENOMEM;
	pages->count = count;
	memset(page_address(pages->first), 0, (size_t)count << PAGE_SHIFT);
	return 0;
}
