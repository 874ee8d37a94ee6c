/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_SUBMIT_H
#define MOCK_ACCEL_SUBMIT_H

#include "mock_accel_file.h"

int mock_accel_submit(void *context, void *argument);

#endif /* MOCK_ACCEL_SUBMIT_H */
