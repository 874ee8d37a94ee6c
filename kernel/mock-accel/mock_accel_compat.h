/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels 5.10 and 7.2, besides those in mimic_compat.h.
 *
 * What needs nothing here because the oldest interface still exists: a static
 * struct class (instead of class_create(), which lost an argument in 6.4),
 * pcim_iomap() (instead of the deprecated pcim_iomap_regions()), and no
 * .llseek at all (instead of no_llseek, gone in 6.12).
 */
#ifndef MOCK_ACCEL_COMPAT_H
#define MOCK_ACCEL_COMPAT_H

#include <linux/version.h>

/* 6.2: pci_error_handlers.cor_error_detected. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define MOCK_ACCEL_HAS_COR_ERROR_DETECTED
#endif

#endif /* MOCK_ACCEL_COMPAT_H */
