/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_HW_H
#define MOCK_ACCEL_HW_H

#include "mock_accel.h"

bool mock_accel_is_present(const struct mock_accel_function *func);
struct mock_accel_function *
mock_accel_get_function(struct mock_accel_node *node);
void mock_accel_put_function(struct mock_accel_node *node);
int mock_accel_read_status(struct mock_accel_node *node, u32 *status);
int mock_accel_write_status(struct mock_accel_node *node, u32 status);
void mock_accel_status_changed(struct mock_accel_function *func);

#endif /* MOCK_ACCEL_HW_H */
