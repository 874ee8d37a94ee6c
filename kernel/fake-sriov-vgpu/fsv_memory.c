// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: memory behind BARs
 */

/**
 * DOC: memory behind BARs
 *
 * A BAR decodes at the physical address of pages that we allocated, so what
 * maps a BAR maps these pages. They are marked reserved: only such RAM may be
 * mapped by ioremap() on x86. Windows of the host bridge cover these pages and
 * nothing else, therefore no choice of the PCI core can make a BAR decode at
 * memory that is not ours. The windows are not in iomem_resource, where the
 * addresses belong to System RAM already; so request_mem_region() of such a BAR
 * fails with -EBUSY, and drivers that insist on it do not work.
 */

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "fsv.h"

static atomic_long_t fsv_pages;

/*
 * Parent of all windows, in place of iomem_resource: the PCI core releases
 * windows that it joined with their neighbours, which needs one.
 */
static struct resource fsv_root = {
	.name = FSV_NAME,
	.start = 0,
	.end = (resource_size_t)-1,
	.flags = IORESOURCE_MEM,
};

/**
 * fsv_memory_pages() - how many pages are behind BARs now
 *
 * Return: pages of all buses.
 */
long fsv_memory_pages(void)
{
	return atomic_long_read(&fsv_pages);
}

/**
 * fsv_memory_alloc() - get zeroed pages for BARs
 * @bus: gets the window; freed with all others of it
 * @bytes: any number of pages up to FSV_MAX_BAR_BYTES
 *
 * The address is a multiple of @bytes rounded up to a power of two.
 *
 * Context: may sleep.
 * Return: the memory or ERR_PTR(-ENOMEM).
 */
struct fsv_memory *fsv_memory_alloc(struct fsv_bus *bus, size_t bytes)
{
	struct fsv_memory *memory = kzalloc(sizeof(*memory), GFP_KERNEL);
	const int node = bus->node;
	unsigned long i;

	if (!memory)
		return ERR_PTR(-ENOMEM);
	memory->order = get_order(bytes);
	memory->page = alloc_pages_node(node,
					GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN |
						__GFP_RETRY_MAYFAIL,
					memory->order);
	if (!memory->page) {
		kfree(memory);
		return ERR_PTR(-ENOMEM);
	}
	for (i = 0; i < 1ul << memory->order; i++)
		SetPageReserved(memory->page + i);
	atomic_long_add(1l << memory->order, &fsv_pages);
	memory->window.name = FSV_NAME;
	memory->window.flags = IORESOURCE_MEM;
	memory->start = page_to_phys(memory->page);
	memory->bytes = bytes;
	memory->window.start = memory->start;
	memory->window.end = memory->start + bytes - 1;
	/* Pages are ours alone, so it cannot fail. */
	WARN_ON(request_resource(&fsv_root, &memory->window));
	list_add_tail(&memory->list, &bus->memory);
	return memory;
}

/**
 * fsv_memory_free_all() - give pages back
 * @memory: a list of struct fsv_memory; empty afterwards
 *
 * Context: may sleep; nobody maps the pages any more.
 */
void fsv_memory_free_all(struct list_head *memory)
{
	struct fsv_memory *each, *next;
	unsigned long i;

	list_for_each_entry_safe(each, next, memory, list) {
		list_del(&each->list);
		if (each->window.parent)
			release_resource(&each->window);
		for (i = 0; i < 1ul << each->order; i++)
			ClearPageReserved(each->page + i);
		atomic_long_sub(1l << each->order, &fsv_pages);
		__free_pages(each->page, each->order);
		kfree(each);
	}
}

/**
 * fsv_memory_fill() - write the first content of BARs
 * @memory: the pages
 * @image: what to write from their start on; the rest stays
 * @bytes: of @image; cut to the size of the memory
 *
 * Context: any; before anybody maps the pages.
 */
void fsv_memory_fill(struct fsv_memory *memory, const void *image, size_t bytes)
{
	if (image)
		memcpy(page_address(memory->page), image,
		       min(bytes, memory->bytes));
}
