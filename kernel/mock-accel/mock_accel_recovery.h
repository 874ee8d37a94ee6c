/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_RECOVERY_H
#define MOCK_ACCEL_RECOVERY_H

#include "mock_accel.h"

extern const struct pci_error_handlers mock_accel_err_handler;
extern const struct dev_pm_ops mock_accel_pm_ops;

#endif /* MOCK_ACCEL_RECOVERY_H */
