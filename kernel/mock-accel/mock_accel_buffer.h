/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_BUFFER_H
#define MOCK_ACCEL_BUFFER_H

#include "mock_accel_file.h"

int mock_accel_buffer_create(void *context, void *argument);
int mock_accel_buffer_destroy(void *context, void *argument);
struct mock_accel_buffer *mock_accel_find_buffer(struct mock_accel_file *file,
						 u32 handle);
void mock_accel_file_free_buffers(struct mock_accel_file *file,
				  struct device *dev);
void mock_accel_file_disconnect_buffers(struct mock_accel_file *file,
					struct device *dev);

#endif /* MOCK_ACCEL_BUFFER_H */
