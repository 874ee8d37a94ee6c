// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: functions, from their description
 */

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "fsv.h"

#define FSV_FLAT_BAR0_BYTES max_t(size_t, 16384, PAGE_SIZE)
#define FSV_TESLA_T4 0x1eb8
#define FSV_TESLA_T4_SUBSYSTEM 0x12a2

/**
 * fsv_describe() - the defaults: a Tesla T4 with 16 VFs
 * @wanted: overwritten
 */
void fsv_describe(struct fsv_description *wanted)
{
	*wanted = (struct fsv_description){
		.layout = {
			.vendor = FSV_NVIDIA,
			.device = FSV_TESLA_T4,
			.subsystem_vendor = FSV_NVIDIA,
			.subsystem_device = FSV_TESLA_T4_SUBSYSTEM,
			.class_code = PCI_CLASS_DISPLAY_3D << 8,
			.revision = 0xa1,
			.link_speed = 3,
			.link_width = 16,
			.msix_vectors = 4,
			.bars[0].size = 65536,
			.total_vfs = 16,
			.vf_device = FSV_TESLA_T4,
			.vf_bars[0].size = FSV_FLAT_BAR0_BYTES,
		},
		.managed = true,
		.vgpu_memory_mib = 16384,
	};
}

static bool fsv_is_bar_size(u64 size)
{
	return !size || (is_power_of_2(size) && size >= PAGE_SIZE &&
			 size <= FSV_MAX_BAR_BYTES);
}

/**
 * fsv_description_check() - can this be made?
 * @wanted: anything
 *
 * Return: 0 or -EINVAL.
 */
int fsv_description_check(const struct fsv_description *wanted)
{
	const struct fsv_layout *layout = &wanted->layout;
	unsigned int i;

	if (wanted->slot >= FSV_SLOTS ||
	    wanted->function >= FSV_FUNCTIONS_PER_SLOT)
		return -EINVAL;
	if (!layout->vendor || layout->vendor == 0xffff || !layout->device ||
	    layout->device == 0xffff || layout->class_code > 0xffffff)
		return -EINVAL;
	if (!layout->link_speed || layout->link_speed > FSV_MAX_LINK_SPEED ||
	    !is_power_of_2(layout->link_width) || layout->link_width > 32)
		return -EINVAL;
	if (layout->msix_vectors > FSV_MAX_MSIX ||
	    layout->total_vfs > FSV_MAX_VFS)
		return -EINVAL;
	for (i = 0; i < FSV_MSIX_BAR; i++) {
		if (!fsv_is_bar_size(layout->bars[i].size) ||
		    !fsv_is_bar_size(layout->vf_bars[i].size) ||
		    layout->vf_bars[i].size * layout->total_vfs >
			    FSV_MAX_BAR_BYTES)
			return -EINVAL;
	}
	return 0;
}

/* Memory for one BAR of each of @count functions. */
static int fsv_back_bar(struct fsv_bus *bus, struct fsv_bar *bar,
			unsigned int count, const void *image,
			size_t image_bytes)
{
	struct fsv_memory *memory;

	if (!bar->size)
		return 0;
	memory = fsv_memory_alloc(bus, bar->size * count);
	if (IS_ERR(memory))
		return PTR_ERR(memory);
	bar->address = memory->start;
	fsv_memory_fill(memory, image, image_bytes);
	return 0;
}

static int fsv_back_bars(struct fsv_bus *bus, struct fsv_layout *layout,
			 const struct fsv_description *wanted)
{
	size_t msix = 0;
	unsigned int i;
	int ret = 0;

	if (layout->msix_vectors)
		msix = max_t(size_t, FSV_MSIX_BAR_BYTES, PAGE_SIZE);
	layout->bars[FSV_MSIX_BAR].size = msix;
	layout->vf_bars[FSV_MSIX_BAR].size = msix;
	for (i = 0; i < FSV_BARS && !ret; i++)
		ret = fsv_back_bar(bus, &layout->bars[i], 1,
				   i ? NULL : wanted->image,
				   wanted->image_bytes);
	for (i = 0; i < FSV_BARS && !ret && layout->total_vfs; i++)
		ret = fsv_back_bar(bus, &layout->vf_bars[i], layout->total_vfs,
				   i ? NULL : wanted->vf_image,
				   wanted->vf_image_bytes);
	return ret;
}

static int fsv_create_vfs(struct fsv_function *pf)
{
	const struct fsv_layout *layout = &pf->config.layout;
	unsigned int i;

	pf->vfs = kvcalloc(layout->total_vfs, sizeof(*pf->vfs), GFP_KERNEL);
	if (!pf->vfs)
		return -ENOMEM;
	for (i = 0; i < layout->total_vfs; i++) {
		struct fsv_function *vf = &pf->vfs[i];

		vf->bus = pf->bus;
		vf->pf = pf;
		vf->pool = &pf->own_pool;
		vf->managed = pf->managed;
		vf->config.layout = *layout;
		vf->config.layout.is_vf = 1;
		vf->config.layout.total_vfs = 0;
		vf->config.layout.devfn = i;
		fsv_config_reset(&vf->config);
	}
	return 0;
}

/**
 * fsv_function_create() - make a function; it answers after fsv_bus_add()
 * @bus: not registered yet, because it gets windows
 * @wanted: checked by fsv_description_check()
 *
 * Context: may sleep; holds fsv_lock.
 * Return: the function or ERR_PTR(-ENOMEM); memory that was allocated until
 * then stays with @bus.
 */
struct fsv_function *fsv_function_create(struct fsv_bus *bus,
					 const struct fsv_description *wanted)
{
	struct fsv_function *function;
	struct fsv_layout *layout;
	int ret;

	function = kvzalloc(sizeof(*function), GFP_KERNEL);
	if (!function)
		return ERR_PTR(-ENOMEM);
	function->bus = bus;
	function->managed = wanted->managed;
	function->pool = &function->own_pool;
	function->own_pool.total_mib = wanted->vgpu_memory_mib;
	mutex_init(&function->own_pool.lock);

	layout = &function->config.layout;
	*layout = wanted->layout;
	layout->devfn = PCI_DEVFN(wanted->slot, wanted->function);
	layout->page_sizes = PAGE_SIZE >> 12;
	ret = fsv_back_bars(bus, layout, wanted);
	if (!ret && layout->total_vfs) {
		function->number = ++bus->pfs;
		layout->vf_offset = function->number * 256u - layout->devfn;
		ret = fsv_create_vfs(function);
	}
	if (ret) {
		fsv_function_free(function);
		return ERR_PTR(ret);
	}
	fsv_config_reset(&function->config);
	return function;
}

/* The memory of functions to come; windows cannot be added later. */
static int fsv_reserve_flat(struct fsv_bus *bus)
{
	const size_t bytes[] = { FSV_FLAT_BAR0_BYTES, FSV_MSIX_BAR_BYTES };
	struct fsv_memory *memory;
	unsigned int i;
	size_t each;

	for (i = 0; i < ARRAY_SIZE(bytes); i++) {
		each = max_t(size_t, bytes[i], PAGE_SIZE);
		memory = fsv_memory_alloc(bus, FSV_MAX_FUNCTIONS * each);
		if (IS_ERR(memory))
			return PTR_ERR(memory);
		bus->flat_bars[i] = memory;
	}
	return 0;
}

/**
 * fsv_function_reserve_flat() - prepare a bus for the control device
 * @bus: not registered yet
 *
 * Return: 0 or -ENOMEM.
 */
int fsv_function_reserve_flat(struct fsv_bus *bus)
{
	mutex_init(&bus->flat_pool.lock);
	bus->flat_pool.total_mib = 16384;
	return fsv_reserve_flat(bus);
}

/* The pool of the first PF, so that flat functions are vGPUs of that GPU. */
static struct fsv_pool *fsv_flat_pool(struct fsv_bus *bus)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bus->functions); i++)
		if (bus->functions[i] && bus->functions[i]->number == 1)
			return &bus->functions[i]->own_pool;
	return &bus->flat_pool;
}

/**
 * fsv_function_create_flat() - make a function for the control device
 * @bus: made with flat functions in mind
 * @devfn: where it shall be; free
 *
 * Context: may sleep; holds fsv_lock.
 * Return: the function; ERR_PTR(-ENOSPC) if there are FSV_MAX_FUNCTIONS,
 * ERR_PTR(-ENOMEM).
 */
struct fsv_function *fsv_function_create_flat(struct fsv_bus *bus,
					      unsigned int devfn)
{
	struct fsv_description wanted;
	struct fsv_function *function;
	struct fsv_layout *layout;
	unsigned int part, i;

	lockdep_assert_held(&fsv_lock);
	part = ffz(bus->flat_slots);
	if (bus->flat_slots == U32_MAX)
		return ERR_PTR(-ENOSPC);
	function = kvzalloc(sizeof(*function), GFP_KERNEL);
	if (!function)
		return ERR_PTR(-ENOMEM);
	function->leave = fsv_leave_alloc(bus, function);
	if (!function->leave) {
		kvfree(function);
		return ERR_PTR(-ENOMEM);
	}
	fsv_describe(&wanted);
	function->bus = bus;
	function->managed = true;
	function->is_flat = true;
	function->pool = fsv_flat_pool(bus);
	layout = &function->config.layout;
	*layout = wanted.layout;
	/* As the older module of this name had it. */
	layout->class_code = PCI_CLASS_DISPLAY_VGA << 8;
	layout->total_vfs = 0;
	layout->devfn = devfn;
	for (i = 0; i < ARRAY_SIZE(bus->flat_bars); i++) {
		const struct fsv_memory *memory = bus->flat_bars[i];
		struct fsv_bar *bar = &layout->bars[i ? FSV_MSIX_BAR : 0];

		bar->size = memory->bytes / FSV_MAX_FUNCTIONS;
		bar->address = memory->start + part * bar->size;
		memset(page_address(memory->page) + part * bar->size, 0,
		       bar->size);
	}
	function->flat_part = part;
	bus->flat_slots |= 1u << part;
	fsv_config_reset(&function->config);
	return function;
}

/**
 * fsv_function_free() - undo fsv_function_create() and its kin
 * @function: not on the bus; its memory stays with the bus
 *
 * Context: may sleep; holds fsv_lock, unless nobody else knows the bus.
 */
void fsv_function_free(struct fsv_function *function)
{
	if (function->is_flat) {
		fsv_vgpu_reset(function);
		function->bus->flat_slots &= ~(1u << function->flat_part);
	}
	fsv_leave_put(function->leave);
	kvfree(function->vfs);
	kvfree(function);
}
