/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_IRQ_H
#define MOCK_ACCEL_IRQ_H

#include "mock_accel.h"

int mock_accel_setup_irqs(struct mock_accel_function *func);

#endif /* MOCK_ACCEL_IRQ_H */
