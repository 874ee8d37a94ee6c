// SPDX-License-Identifier: Apache-2.0
/* libmockaccel: queues. libmockaccel.h says what each function does. */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

void mockaccel_queue_free(struct mockaccel_queue *queue)
{
	queue->device->system->munmap((void *)queue->completions,
				      queue->completions_size);
	free(queue);
}

static int destroy_handle(struct mockaccel *device, uint32_t handle)
{
	struct mock_accel_destroy destroy = { .size = sizeof(destroy),
					      .handle = handle };

	return mockaccel_call(device, MOCK_ACCEL_IOC_QUEUE_DESTROY, &destroy);
}

int mockaccel_queue_create(struct mockaccel *device, uint32_t entries,
			   uint32_t flags, struct mockaccel_queue **queue)
{
	struct mock_accel_queue_create create = {
		.size = sizeof(create),
		.flags = flags,
		.entries = entries,
	};
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct mockaccel_queue *made;
	void *mapped;
	int ret;

	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	ret = mockaccel_call(device, MOCK_ACCEL_IOC_QUEUE_CREATE, &create);
	if (ret) {
		free(made);
		return ret;
	}
	made->completions_size = (create.completions_bytes + page - 1) &
				 ~(page - 1);
	mapped = mockaccel_map(device, made->completions_size, PROT_READ,
			       create.completions_mmap_offset);
	if (mapped == MAP_FAILED) {
		ret = -errno;
		destroy_handle(device, create.queue);
		free(made);
		return ret;
	}
	made->device = device;
	made->completions = mapped;
	made->handle = create.queue;
	made->entries = create.entries;
	made->next = device->queues;
	device->queues = made;
	*queue = made;
	return 0;
}

int mockaccel_queue_destroy(struct mockaccel_queue *queue)
{
	struct mockaccel_queue **link = &queue->device->queues;
	const int ret = destroy_handle(queue->device, queue->handle);

	while (*link != queue)
		link = &(*link)->next;
	*link = queue->next;
	mockaccel_queue_free(queue);
	return ret;
}

/* The next free place of the batch, emptied; NULL if there is none. */
static struct mock_accel_operation *stage(struct mockaccel_queue *queue)
{
	struct mock_accel_operation *operation;

	if (queue->staged == MOCK_ACCEL_MAX_SUBMIT)
		return NULL;
	operation = &queue->batch[queue->staged];
	memset(operation, 0, sizeof(*operation));
	return operation;
}

/* What device memory holds the device checks. */
static int in_range(const struct mockaccel_buffer *buffer, uint64_t offset,
		    uint32_t length)
{
	return !buffer ||
	       (offset <= buffer->size && length <= buffer->size - offset);
}

int mockaccel_copy(struct mockaccel_queue *queue,
		   const struct mockaccel_buffer *dst, uint64_t dst_offset,
		   const struct mockaccel_buffer *src, uint64_t src_offset,
		   uint32_t length, uint64_t cookie)
{
	struct mock_accel_operation *operation;

	if (!in_range(dst, dst_offset, length) ||
	    !in_range(src, src_offset, length))
		return -EINVAL;
	operation = stage(queue);
	if (!operation)
		return -ENOBUFS;
	operation->opcode = MOCK_ACCEL_OP_COPY;
	operation->flags = (dst ? 0 : MOCK_ACCEL_OPERATION_DST_LOCAL) |
			   (src ? 0 : MOCK_ACCEL_OPERATION_SRC_LOCAL);
	operation->length = length;
	operation->src_buffer = src ? src->handle : 0;
	operation->src = src_offset;
	operation->dst_buffer = dst ? dst->handle : 0;
	operation->dst = dst_offset;
	operation->cookie = cookie;
	queue->staged++;
	return 0;
}

int mockaccel_fill(struct mockaccel_queue *queue,
		   const struct mockaccel_buffer *dst, uint64_t dst_offset,
		   uint64_t pattern, uint32_t length, uint64_t cookie)
{
	struct mock_accel_operation *operation;

	if (!in_range(dst, dst_offset, length))
		return -EINVAL;
	operation = stage(queue);
	if (!operation)
		return -ENOBUFS;
	operation->opcode = MOCK_ACCEL_OP_FILL;
	operation->flags = dst ? 0 : MOCK_ACCEL_OPERATION_DST_LOCAL;
	operation->length = length;
	operation->src = pattern;
	operation->dst_buffer = dst ? dst->handle : 0;
	operation->dst = dst_offset;
	operation->cookie = cookie;
	queue->staged++;
	return 0;
}

int mockaccel_nop(struct mockaccel_queue *queue, uint64_t cookie)
{
	struct mock_accel_operation *operation = stage(queue);

	if (!operation)
		return -ENOBUFS;
	operation->opcode = MOCK_ACCEL_OP_NOP;
	operation->cookie = cookie;
	queue->staged++;
	return 0;
}

int mockaccel_flush(struct mockaccel_queue *queue)
{
	struct mock_accel_submit submit = {
		.size = sizeof(submit),
		.queue = queue->handle,
		.operations = (uintptr_t)queue->batch,
		.count = queue->staged,
		.consumed = queue->consumed,
		.operation_bytes = sizeof(queue->batch[0]),
	};
	const int ret =
		mockaccel_call(queue->device, MOCK_ACCEL_IOC_SUBMIT, &submit);

	if (ret)
		return ret;
	queue->origin = submit.origin;
	queue->submitted = submit.submitted;
	queue->staged -= submit.taken;
	memmove(queue->batch, queue->batch + submit.taken,
		queue->staged * sizeof(queue->batch[0]));
	return (int)queue->staged;
}

void mockaccel_discard(struct mockaccel_queue *queue)
{
	queue->staged = 0;
}

int mockaccel_reap(struct mockaccel_queue *queue, struct mockaccel_done *done,
		   int count)
{
	int i;

	for (i = 0; i < count && queue->consumed != queue->submitted; i++) {
		const uint32_t place = queue->consumed - queue->origin;
		const struct mock_accel_completion *entry =
			&queue->completions[place & (queue->entries - 1)];
		const unsigned int phase = (place / queue->entries & 1) ^ 1;

		/* The rest of the entry is read after the phase. */
		if ((le16toh(__atomic_load_n(&entry->phase, __ATOMIC_ACQUIRE)) &
		     MOCK_ACCEL_COMPLETION_PHASE) != phase)
			break;
		done[i] = (struct mockaccel_done){
			.cookie = le64toh(entry->cookie),
			.bytes = le32toh(entry->bytes),
			.status = le16toh(entry->status),
		};
		queue->consumed++;
	}
	return i;
}

uint32_t mockaccel_in_flight(const struct mockaccel_queue *queue)
{
	return queue->submitted - queue->consumed;
}

int mockaccel_wait(struct mockaccel_queue *queue, uint32_t count,
		   int timeout_ms)
{
	struct mock_accel_wait_queue wait = {
		.size = sizeof(wait),
		.queue = queue->handle,
		.consumed = queue->consumed,
		.count = count,
		.timeout_ms = timeout_ms,
	};
	int ret;

	if (count > mockaccel_in_flight(queue))
		return -EINVAL;
	ret = mockaccel_call(queue->device, MOCK_ACCEL_IOC_WAIT, &wait);
	return ret ? ret : (int)(wait.completed - queue->consumed);
}

const char *mockaccel_status_name(int status)
{
	static const char *const names[] = {
		"OK",	      "BAD_OPCODE",  "BAD_FLAGS",    "BAD_LENGTH",
		"READ_FAULT", "WRITE_FAULT", "OUT_OF_RANGE", "ABORTED",
	};

	if (status < 0 || (size_t)status >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[status];
}
