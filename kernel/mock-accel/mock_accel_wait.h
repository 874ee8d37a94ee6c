/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_WAIT_H
#define MOCK_ACCEL_WAIT_H

#include "mock_accel_file.h"

int mock_accel_wait_status(void *context, void *argument);
int mock_accel_wait_queue(void *context, void *argument);
__poll_t mock_accel_poll(struct file *filp, poll_table *table);

#endif /* MOCK_ACCEL_WAIT_H */
