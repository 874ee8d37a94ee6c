/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_NATIVE_H
#define MOCK_ACCEL_NATIVE_H

#include "mock_accel.h"

int mock_accel_sriov_configure(struct pci_dev *pdev, int num_vfs);
int mock_accel_native_set_num_vfs(struct mock_accel_function *pf, u32 num_vfs);

#endif /* MOCK_ACCEL_NATIVE_H */
