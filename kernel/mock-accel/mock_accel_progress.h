/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How far a queue is: a model without locks, allocations or hardware, so that a
 * user-space program can test the same file.
 */
#ifndef MOCK_ACCEL_PROGRESS_H
#define MOCK_ACCEL_PROGRESS_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "mock_accel_user.h"
#endif

#include "mock_accel_ioctl.h"

/**
 * struct mock_accel_progress - which operations of a queue are complete
 * @ring: the completion ring, which the device writes; @entries elements
 * @entries: a power of two; constant, as @ring and @order
 * @order: its logarithm
 * @running: the hardware ring is enabled, with the operations from @origin on
 * @origin: the operation that is in entry 0 with phase 1
 * @submitted: operations submitted so far
 * @completed: of these, how many were seen complete
 * @consumed: of these, how many user space has read
 *
 * All numbers of operations are free-running 32-bit numbers that wrap. The
 * interrupt handler looks at @running, @origin and @completed without a lock;
 * all else is serialized by the caller.
 */
struct mock_accel_progress {
	struct mock_accel_completion *ring;
	u32 entries;
	u32 order;
	bool running;
	u32 origin;
	u32 submitted;
	u32 completed;
	u32 consumed;
};

void mock_accel_progress_start(struct mock_accel_progress *progress);
void mock_accel_progress_stop(struct mock_accel_progress *progress);
u32 mock_accel_progress_place(const struct mock_accel_progress *progress,
			      u32 operation);
u32 mock_accel_progress_room(const struct mock_accel_progress *progress);
bool mock_accel_progress_has_work(const struct mock_accel_progress *progress);
bool mock_accel_progress_is_ready(const struct mock_accel_progress *progress);
void mock_accel_progress_take(struct mock_accel_progress *progress);
void mock_accel_progress_abort(struct mock_accel_progress *progress,
			       u64 cookie);
bool mock_accel_progress_consume(struct mock_accel_progress *progress,
				 u32 consumed);

#endif /* MOCK_ACCEL_PROGRESS_H */
