/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_SRIOV_H
#define MOCK_ACCEL_SRIOV_H

#include "mock_accel.h"

bool mock_accel_sriov_is_static(const struct mock_accel_function *pf);
bool mock_accel_sriov_is_native(const struct mock_accel_function *pf);
int mock_accel_sriov_attach(struct mock_accel_function *func);
void mock_accel_sriov_detach(struct mock_accel_function *func);
void mock_accel_sriov_reset_done(struct mock_accel_function *func);
int mock_accel_sriov_set_num_vfs(struct mock_accel_function *pf, u32 num_vfs);
int mock_accel_sriov_hide_closed_vfs(struct mock_accel_function *pf);
void mock_accel_for_each_native_vf(struct mock_accel_function *pf,
				   void (*visit)(struct mock_accel_function *vf,
						 void *data),
				   void *data);

#endif /* MOCK_ACCEL_SRIOV_H */
