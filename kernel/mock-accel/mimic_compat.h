/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels 5.10 and 7.2 that more than one module meets.
 */
#ifndef MIMIC_COMPAT_H
#define MIMIC_COMPAT_H

#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/version.h>

/* 6.2: class->devnode takes a const struct device. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define mimic_devnode_const const
#else
#define mimic_devnode_const
#endif

/* 6.3: vma->vm_flags is changed by functions only. */
static inline void mimic_vm_flags_set(struct vm_area_struct *vma,
				      unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

static inline void mimic_vm_flags_clear(struct vm_area_struct *vma,
					unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

/* 6.3: resources of a PCI function have an accessor. */
#ifndef pci_resource_n
#define pci_resource_n(dev, bar) (&(dev)->resource[(bar)])
#endif

#endif /* MIMIC_COMPAT_H */
