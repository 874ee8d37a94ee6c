/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_MMAP_H
#define MOCK_ACCEL_MMAP_H

#include "mock_accel_file.h"

int mock_accel_mmap(struct file *filp, struct vm_area_struct *vma);

#endif /* MOCK_ACCEL_MMAP_H */
