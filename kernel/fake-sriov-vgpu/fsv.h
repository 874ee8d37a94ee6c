/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fake-sriov-vgpu: what its files share
 */
#ifndef FSV_H
#define FSV_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/spinlock.h>

#include "fsv_compat.h"
#include "fsv_config.h"

struct fsv_leave;

#define FSV_NAME "fake-sriov-vgpu"

#define FSV_MAX_FUNCTIONS 32
#define FSV_SLOTS 32
#define FSV_FUNCTIONS_PER_SLOT 8
/* The largest block that the page allocator is sure to know. */
#define FSV_MAX_BAR_BYTES (4u << 20)
#define FSV_MAX_IMAGE_BYTES 65536
#define FSV_MAX_VGPU_PARAMS 256

/* How long whoever takes something away waits until it has gone; arbitrary. */
#define FSV_LEAVE_TIMEOUT (5 * HZ)

/* What anybody can provoke is logged once a second at most. */
extern struct ratelimit_state fsv_ratelimit;
#define fsv_complain(fmt, ...)                                            \
	do {                                                              \
		if (__ratelimit(&fsv_ratelimit))                          \
			pr_notice(FSV_NAME ": " fmt "\n", ##__VA_ARGS__); \
	} while (0)

/**
 * struct fsv_description - a function as somebody wants it
 * @layout: all but addresses, VF offset, page sizes and devfn, which the bus
 *	fills in; the sizes of @layout.bars and @layout.vf_bars count
 * @slot: device number on bus 0
 * @function: function number
 * @managed: for our driver
 * @vgpu_memory_mib: what its VFs share
 * @image: first content of BAR0; owned by who describes; NULL: none
 * @image_bytes: of @image
 * @vf_image: first content of BAR0 of all VFs, one after the other
 * @vf_image_bytes: of @vf_image
 */
struct fsv_description {
	struct fsv_layout layout;
	unsigned int slot;
	unsigned int function;
	bool managed;
	u32 vgpu_memory_mib;
	const void *image;
	size_t image_bytes;
	const void *vf_image;
	size_t vf_image_bytes;
};

/**
 * struct fsv_memory - pages behind BARs, and the window they are seen through
 * @list: in fsv_bus.memory
 * @window: in the host bridge's windows; the PCI core joins neighbours
 * @page: first page
 * @start: its physical address
 * @bytes: of @page that BARs use
 * @order: of the allocation
 */
struct fsv_memory {
	struct list_head list;
	struct resource window;
	struct page *page;
	phys_addr_t start;
	size_t bytes;
	unsigned int order;
};

/**
 * struct fsv_pool - framebuffer that functions share
 * @lock: guards the pool and vgpu_* of its functions
 * @total_mib: constant
 * @used_mib: taken by vGPUs
 */
struct fsv_pool {
	struct mutex lock;
	u32 total_mib;
	u32 used_mib;
};

/**
 * struct fsv_function - a function that answers on the bus
 * @config: guarded by bus->config_lock, but for the layout, which is constant
 * @bus: where it is
 * @pf: of a VF; otherwise NULL
 * @leave: its way out, if @is_flat
 * @pool: where its vGPU takes memory from
 * @own_pool: what @pool of the VFs points to
 * @managed: our driver may bind
 * @is_flat: made through the control device; has a vGPU though it is no VF
 * @number: of a PF: n for the n-th with VFs, from 1: their bus number
 * @flat_part: index into the bus' flat_bars, if @is_flat
 * @vfs: TotalVFs VFs of a PF
 * @vgpu_type: 0: none
 * @vgpu_placement: first of the GiB that the vGPU takes
 * @vgpu_warm_update: switch without a function
 * @vgpu_params: text without a function
 */
struct fsv_function {
	struct fsv_config config;
	struct fsv_bus *bus;
	struct fsv_function *pf;
	struct fsv_leave *leave;
	struct fsv_pool *pool;
	struct fsv_pool own_pool;
	bool managed;
	bool is_flat;
	u8 number;
	u8 flat_part;
	struct fsv_function *vfs;
	u32 vgpu_type;
	u32 vgpu_placement;
	bool vgpu_warm_update;
	char vgpu_params[FSV_MAX_VGPU_PARAMS];
};

/**
 * struct fsv_bus - a host bridge and all below it; its private memory
 * @sysdata: for the architecture; first, so that sysdata leads to the bus
 * @bridge: we hold a reference until the bus leaves
 * @leave: its way out
 * @owner: what points to the bus until it has left, or NULL; guarded by fsv_lock
 * @released: set when the bus is gone, if somebody wants to know
 * @domain: constant
 * @node: constant
 * @busn: bus numbers
 * @memory: all pages of the bus
 * @config_lock: guards @functions, and the config space of each
 * @functions: bus 0, by devfn
 * @pfs: number of functions with VFs
 * @flat_pool: for functions of the control device on a bus without PF
 * @flat_bars: BAR0 of such functions, then BAR4; NULL on other buses
 * @flat_slots: which parts of @flat_bars are taken; guarded by fsv_lock
 */
struct fsv_bus {
	fsv_sysdata sysdata;
	struct pci_host_bridge *bridge;
	struct fsv_leave *leave;
	struct fsv_bus **owner;
	bool *released;
	int domain;
	int node;
	struct resource busn;
	struct list_head memory;
	raw_spinlock_t config_lock;
	struct fsv_function *functions[256];
	unsigned int pfs;
	struct fsv_pool flat_pool;
	struct fsv_memory *flat_bars[2];
	u32 flat_slots;
};

extern struct mutex fsv_lock;
extern struct pci_ops fsv_pci_ops;
extern char *fsv_driver_name;

/* fsv_memory.c */
struct fsv_memory *fsv_memory_alloc(struct fsv_bus *bus, size_t bytes);
void fsv_memory_free_all(struct list_head *memory);
void fsv_memory_fill(struct fsv_memory *memory, const void *image,
		     size_t bytes);
long fsv_memory_pages(void);

/* fsv_function.c */
void fsv_describe(struct fsv_description *wanted);
int fsv_description_check(const struct fsv_description *wanted);
struct fsv_function *fsv_function_create(struct fsv_bus *bus,
					 const struct fsv_description *wanted);
int fsv_function_reserve_flat(struct fsv_bus *bus);
struct fsv_function *fsv_function_create_flat(struct fsv_bus *bus,
					      unsigned int devfn);
void fsv_function_free(struct fsv_function *function);

/* fsv_bus.c */
struct fsv_bus *fsv_bus_create(int domain, int node,
			       const struct fsv_description *wanted,
			       unsigned int count, bool with_flat);
int fsv_bus_add(struct fsv_bus *bus, struct fsv_function *function);
void fsv_bus_put_function(struct fsv_bus *bus, unsigned int devfn,
			  struct fsv_function *function);
struct fsv_function *fsv_function_of(struct pci_dev *pdev);
int fsv_bus_init(void);
void fsv_bus_exit(void);

/* fsv_leave.c */
struct fsv_leave *fsv_leave_alloc(struct fsv_bus *bus,
				  struct fsv_function *function);
struct fsv_leave *fsv_leave_start(struct fsv_leave *leave);
bool fsv_leave_is_started(const struct fsv_leave *leave);
int fsv_leave_wait(struct fsv_leave *leave, unsigned long *left);
void fsv_leave_put(struct fsv_leave *leave);
int fsv_leave_init(void);
void fsv_leave_exit(void);

/* fsv_domain.c */
#ifdef FSV_HAS_SOFT_IOMMU
bool fsv_domain_is_any(void);
extern const struct iommu_domain_ops fsv_domain_ops;
extern const struct attribute_group *fsv_domain_groups[];
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
struct iommu_domain *fsv_domain_alloc(unsigned int type);
#else
extern struct iommu_domain fsv_identity_domain;
extern struct iommu_domain fsv_blocked_domain;
struct iommu_domain *fsv_domain_alloc_paging(struct device *dev);
#endif
#endif

/* fsv_iommu.c */
void fsv_iommu_init(void);
void fsv_iommu_exit(void);
void fsv_iommu_add(struct pci_dev *pdev);
void fsv_iommu_remove(struct pci_dev *pdev);

/* fsv_driver.c */
int fsv_driver_init(void);
void fsv_driver_exit(void);
bool fsv_driver_knows(u16 vendor, u16 device);
int fsv_driver_learn(u16 vendor, u16 device);

/* fsv_vgpu.c */
int fsv_vgpu_set(struct fsv_function *function, u32 type);
void fsv_vgpu_reset(struct fsv_function *function);
extern const struct attribute_group fsv_vgpu_group;

/* fsv_control.c */
int fsv_control_init(void);
void fsv_control_exit(void);

/* fsv_configfs.c */
int fsv_configfs_init(void);
void fsv_configfs_exit(void);

#endif /* FSV_H */
