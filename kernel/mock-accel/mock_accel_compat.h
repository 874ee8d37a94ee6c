/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels 5.10 and 7.2, all of them in this one file.
 *
 * What needs nothing here because the oldest interface still exists: a static
 * struct class (instead of class_create(), which lost an argument in 6.4),
 * pcim_iomap() (instead of the deprecated pcim_iomap_regions()), and no
 * .llseek at all (instead of no_llseek, gone in 6.12).
 */
#ifndef MOCK_ACCEL_COMPAT_H
#define MOCK_ACCEL_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

/* 6.2: class->devnode takes a const struct device. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define mock_accel_devnode_const const
#else
#define mock_accel_devnode_const
#endif

/* 6.2: pci_error_handlers.cor_error_detected. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define MOCK_ACCEL_HAS_COR_ERROR_DETECTED
#endif

/* 6.3: vma->vm_flags is changed by functions only. */
static inline void mock_accel_vm_flags_set(struct vm_area_struct *vma,
					   unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

static inline void mock_accel_vm_flags_clear(struct vm_area_struct *vma,
					     unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

#endif /* MOCK_ACCEL_COMPAT_H */
