/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_QUEUE_H
#define MOCK_ACCEL_QUEUE_H

#include "mock_accel_file.h"

int mock_accel_queue_create(void *context, void *argument);
int mock_accel_queue_destroy(void *context, void *argument);
struct mock_accel_queue *mock_accel_find_queue(struct mock_accel_file *file,
					       u32 handle);
bool mock_accel_file_has_completions(struct mock_accel_file *file,
				     bool *look_again);
void mock_accel_file_free_queues(struct mock_accel_file *file,
				 struct mock_accel_function *func);
void mock_accel_files_stop(struct mock_accel_node *node,
			   enum mock_accel_stop how);
void mock_accel_file_disconnect_queues(struct mock_accel_file *file,
				       struct device *dev);

#endif /* MOCK_ACCEL_QUEUE_H */
