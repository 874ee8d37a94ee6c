/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of libmockaccel share with each other. */
#ifndef LIBMOCKACCEL_INTERNAL_H
#define LIBMOCKACCEL_INTERNAL_H

#include "libmockaccel.h"
#include "system.h"

/* A buffer in the list of its device. */
struct mockaccel_buffer_node {
	struct mockaccel_buffer buffer;
	struct mockaccel_buffer_node *next;
};

struct mockaccel {
	const struct mockaccel_system *system;
	int fd;
	void *memory; /* device memory, NULL until it is mapped */
	size_t memory_size;
	struct mockaccel_buffer_node *buffers;
	struct mockaccel_queue *queues;
};

/* Numbers of operations are free-running, as in mock_accel_ioctl.h. */
struct mockaccel_queue {
	struct mockaccel *device;
	struct mockaccel_queue *next;
	const struct mock_accel_completion *completions;
	size_t completions_size; /* of the mapping, whole pages */
	uint32_t handle;
	uint32_t entries;
	uint32_t origin;
	uint32_t submitted;
	uint32_t consumed;
	uint32_t staged; /* operations in the batch */
	struct mock_accel_operation batch[MOCK_ACCEL_MAX_SUBMIT];
};

/* An ioctl: 0 or a negative errno. */
int mockaccel_call(struct mockaccel *device, unsigned long request,
		   void *argument);
/* A shared mapping of the device's file, or MAP_FAILED. */
void *mockaccel_map(struct mockaccel *device, size_t size, int protection,
		    uint64_t offset);
/* Frees this side of a queue that is in no list. */
void mockaccel_queue_free(struct mockaccel_queue *queue);

#endif /* LIBMOCKACCEL_INTERNAL_H */
