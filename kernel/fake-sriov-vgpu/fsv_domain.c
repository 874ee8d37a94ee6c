// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: address spaces of the software IOMMU
 */

/**
 * DOC: address spaces of the software IOMMU
 *
 * No function of ours does DMA, so nothing looks an address up to move data.
 * But VFIO asks for the physical address of what it mapped, to unpin it, and
 * expects that unmapping tells how much there was. So each page that is mapped
 * is kept in an xarray, by its number in the address space.
 *
 * Since Linux 6.8 identity and blocked are objects of the driver; before, they
 * were allocated like the others. Neither does anything here.
 */

#include <linux/iommu.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "fsv.h"

#ifdef FSV_HAS_SOFT_IOMMU

struct fsv_domain {
	struct iommu_domain domain;
	struct xarray pages; /* page frame number of memory, by that of DMA */
};

static atomic_t fsv_domains;
/* Of all address spaces; for /sys/class/iommu. */
static atomic_long_t fsv_mapped_pages;
static atomic_long_t fsv_map_calls;
static atomic_long_t fsv_unmap_calls;

static struct fsv_domain *to_fsv(struct iommu_domain *domain)
{
	return container_of(domain, struct fsv_domain, domain);
}

static int fsv_domain_attach(FSV_ATTACH_PARAMETERS)
{
	return 0;
}

static int fsv_domain_map(struct iommu_domain *domain, unsigned long iova,
			  phys_addr_t paddr, size_t pgsize, size_t pgcount,
			  int prot, gfp_t gfp, size_t *mapped)
{
	struct xarray *pages = &to_fsv(domain)->pages;
	size_t i;
	int ret = 0;

	if (pgsize != PAGE_SIZE)
		return -EINVAL;
	atomic_long_inc(&fsv_map_calls);
	for (i = 0; i < pgcount; i++) {
		ret = xa_insert(pages, (iova >> PAGE_SHIFT) + i,
				xa_mk_value((paddr >> PAGE_SHIFT) + i), gfp);
		if (ret)
			break;
	}
	/* The core unmaps what was mapped before an error. */
	*mapped += i * PAGE_SIZE;
	atomic_long_add(i, &fsv_mapped_pages);
	return ret;
}

static size_t fsv_domain_unmap(struct iommu_domain *domain, unsigned long iova,
			       size_t pgsize, size_t pgcount,
			       struct iommu_iotlb_gather *gather)
{
	struct xarray *pages = &to_fsv(domain)->pages;
	size_t i;

	atomic_long_inc(&fsv_unmap_calls);
	for (i = 0; i < pgcount; i++)
		if (!xa_erase(pages, (iova >> PAGE_SHIFT) + i))
			break;
	atomic_long_sub(i, &fsv_mapped_pages);
	return i * PAGE_SIZE;
}

static phys_addr_t fsv_domain_iova_to_phys(struct iommu_domain *domain,
					   dma_addr_t iova)
{
	void *page = xa_load(&to_fsv(domain)->pages, iova >> PAGE_SHIFT);

	if (!page)
		return 0;
	return ((phys_addr_t)xa_to_value(page) << PAGE_SHIFT) +
	       offset_in_page(iova);
}

/* There is no DMA that could bypass a cache. */
static bool fsv_domain_enforce_cache_coherency(struct iommu_domain *domain)
{
	return true;
}

static void fsv_domain_free(struct iommu_domain *domain)
{
	struct fsv_domain *fsv = to_fsv(domain);
	unsigned long index;
	void *page;

	xa_for_each(&fsv->pages, index, page)
		atomic_long_dec(&fsv_mapped_pages);
	xa_destroy(&fsv->pages);
	kfree(fsv);
	atomic_dec(&fsv_domains);
}

const struct iommu_domain_ops fsv_domain_ops = {
	.attach_dev = fsv_domain_attach,
	.map_pages = fsv_domain_map,
	.unmap_pages = fsv_domain_unmap,
	.iova_to_phys = fsv_domain_iova_to_phys,
	.enforce_cache_coherency = fsv_domain_enforce_cache_coherency,
	.free = fsv_domain_free,
};

static struct iommu_domain *fsv_domain_create(void)
{
	struct fsv_domain *fsv = kzalloc(sizeof(*fsv), GFP_KERNEL);

	if (!fsv)
		return NULL;
	atomic_inc(&fsv_domains);
	xa_init(&fsv->pages);
	/* Numbers of pages must fit an xarray's index; 48 bits are usual. */
	fsv->domain.geometry.aperture_end = DMA_BIT_MASK(48);
	fsv->domain.geometry.force_aperture = true;
	fsv->domain.pgsize_bitmap = PAGE_SIZE;
	return &fsv->domain;
}

/**
 * fsv_domain_is_any() - is there an address space that is not freed yet?
 *
 * Return: whether operations of this file may still be called.
 */
bool fsv_domain_is_any(void)
{
	return atomic_read(&fsv_domains);
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
/**
 * fsv_domain_alloc() - make an address space
 * @type: IOMMU_DOMAIN_*
 *
 * Return: the domain; NULL if there is no such type here, or no memory.
 */
struct iommu_domain *fsv_domain_alloc(unsigned int type)
{
	if (type != IOMMU_DOMAIN_IDENTITY && type != IOMMU_DOMAIN_BLOCKED &&
	    type != IOMMU_DOMAIN_UNMANAGED)
		return NULL;
	return fsv_domain_create();
}
#else
/**
 * fsv_domain_alloc_paging() - make an address space
 * @dev: a function of ours
 *
 * Return: the domain; NULL without memory, which the core turns into -ENOMEM.
 */
struct iommu_domain *fsv_domain_alloc_paging(struct device *dev)
{
	return fsv_domain_create();
}

static const struct iommu_domain_ops fsv_still_ops = {
	.attach_dev = fsv_domain_attach,
};

struct iommu_domain fsv_identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &fsv_still_ops,
};

struct iommu_domain fsv_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &fsv_still_ops,
};
#endif

static ssize_t mapped_pages_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%ld\n", atomic_long_read(&fsv_mapped_pages));
}
static DEVICE_ATTR_RO(mapped_pages);

static ssize_t map_calls_show(struct device *dev, struct device_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%ld\n", atomic_long_read(&fsv_map_calls));
}
static DEVICE_ATTR_RO(map_calls);

static ssize_t unmap_calls_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%ld\n", atomic_long_read(&fsv_unmap_calls));
}
static DEVICE_ATTR_RO(unmap_calls);

static struct attribute *fsv_domain_attrs[] = {
	&dev_attr_mapped_pages.attr,
	&dev_attr_map_calls.attr,
	&dev_attr_unmap_calls.attr,
	NULL,
};

static const struct attribute_group fsv_domain_group = {
	.attrs = fsv_domain_attrs,
};

const struct attribute_group *fsv_domain_groups[] = {
	&fsv_domain_group,
	NULL,
};

#endif /* FSV_HAS_SOFT_IOMMU */
