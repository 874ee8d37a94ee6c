/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels 5.10 and 7.2, all of them in this one file.
 *
 * What needs nothing here because the oldest interface still exists: a static
 * struct class (instead of class_create(), which lost an argument in 6.4) and
 * driver.dev_groups left alone (pci_driver has its own since 5.14).
 */
#ifndef FSV_COMPAT_H
#define FSV_COMPAT_H

#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 10, 0)
#error "fake-sriov-vgpu needs Linux 5.10 or later"
#endif

#ifdef CONFIG_X86
/* x86 finds domain and NUMA node of a bus in its sysdata. */
typedef struct pci_sysdata fsv_sysdata;
#else
/* Others have the domain in the host bridge, since 5.15. */
typedef int fsv_sysdata;
#endif

/* Tells the PCI core about domain and node. */
static inline void fsv_set_place(struct pci_host_bridge *bridge,
				 fsv_sysdata *sysdata, int domain, int node)
{
#ifdef CONFIG_X86
	sysdata->domain = domain;
	sysdata->node = node;
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
	bridge->domain_nr = domain;
	set_dev_node(&bridge->dev, node);
#else
#error "fake-sriov-vgpu needs x86 before Linux 5.15"
#endif
}

/*
 * Where user space's mappings of BARs through resourceN are kept, or NULL. From
 * 5.12 on this is not the file's own list, so removing the file leaves them.
 */
static inline struct address_space *fsv_user_mappings(struct pci_dev *pdev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0) &&    \
	LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0) && \
	(defined(HAVE_PCI_MMAP) || defined(ARCH_GENERIC_PCI_MMAP_RESOURCE))
	struct bin_attribute *attr = pdev->res_attr[0];

	return attr && attr->f_mapping ? attr->f_mapping() : NULL;
#else
	return NULL;
#endif
}

/* 5.19: a driver may say that it does no DMA through the kernel's domain. */
static inline void fsv_set_no_dma(struct pci_driver *driver)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 19, 0)
	driver->driver_managed_dma = true;
#endif
}

/*
 * 6.1: an IOMMU of software can register without a bus of its own. Until 6.7 it
 * must be taken out of the buses again, and only those of x86 are known.
 */
#if defined(CONFIG_IOMMU_API) &&                           \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0) ||  \
	 (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0) && \
	  defined(CONFIG_X86)))
#define FSV_HAS_SOFT_IOMMU
#endif

/* 6.19: attaching is told what was attached before. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define FSV_ATTACH_PARAMETERS                            \
	struct iommu_domain *domain, struct device *dev, \
		struct iommu_domain *old
#else
#define FSV_ATTACH_PARAMETERS struct iommu_domain *domain, struct device *dev
#endif

#ifdef FSV_HAS_SOFT_IOMMU
/* Until 6.2 isolation of interrupts is a capability of the IOMMU. */
static inline bool fsv_is_isolation(enum iommu_cap cap)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return cap == IOMMU_CAP_INTR_REMAP;
#else
	return false;
#endif
}

/* Says which IOMMU a device has, where the core wants to be told. */
static inline int fsv_set_fwspec(struct device *dev, struct iommu_device *iommu)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	return iommu_fwspec_init(dev, iommu->fwnode);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return iommu_fwspec_init(dev, iommu->fwnode, iommu->ops);
#else
	return 0;
#endif
}
#endif

#endif /* FSV_COMPAT_H */
