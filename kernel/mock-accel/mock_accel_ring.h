/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MOCK_ACCEL_RING_H
#define MOCK_ACCEL_RING_H

#include "mock_accel_file.h"

void mock_accel_look_soon(struct mock_accel_file *file);
void mock_accel_queue_scan(struct mock_accel_queue *queue);
void mock_accel_queue_abort(struct mock_accel_queue *queue);
int mock_accel_queue_start(struct mock_accel_queue *queue);
void mock_accel_queue_ring_doorbell(struct mock_accel_queue *queue);
int mock_accel_queue_stop(struct mock_accel_queue *queue,
			  enum mock_accel_stop how);
int mock_accel_queue_check(struct mock_accel_queue *queue);
struct mock_accel_ring *mock_accel_ring_claim(struct mock_accel_function *func,
					      struct mock_accel_queue *queue);
void mock_accel_ring_release(struct mock_accel_queue *queue);

#endif /* MOCK_ACCEL_RING_H */
