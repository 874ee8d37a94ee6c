/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmockaccel: a small C library to use a mock-accel device from a program.
 *
 * It wraps the ioctls and mappings of kernel/mock-accel (mock_accel_ioctl.h says
 * what they do): devices, buffers, queues, batches of copies and fills, waiting,
 * counters. Functions return 0 or a count, and a negative errno on failure.
 *
 * Threads: a device and its buffers may be used by several threads, a queue by
 * one at a time. What is returned by pointer belongs to the device and is gone
 * after mockaccel_close().
 *
 *	struct mockaccel *device;
 *	struct mockaccel_queue *queue;
 *	struct mockaccel_buffer *a, *b;
 *	struct mockaccel_done done;
 *
 *	mockaccel_open(NULL, &device);
 *	mockaccel_buffer_create(device, 4096, &a);
 *	mockaccel_buffer_create(device, 4096, &b);
 *	mockaccel_queue_create(device, 64, 0, &queue);
 *	mockaccel_copy(queue, b, 0, a, 0, 4096, 1);
 *	mockaccel_flush(queue);
 *	mockaccel_wait(queue, 1, 1000);
 *	mockaccel_reap(queue, &done, 1);
 *	mockaccel_close(device);
 */
#ifndef LIBMOCKACCEL_H
#define LIBMOCKACCEL_H

#include <stddef.h>
#include <stdint.h>

#include "mock_accel_ioctl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An open device. */
struct mockaccel;
/* A hardware ring lent to this program. */
struct mockaccel_queue;

/* Memory that the device reaches. Zeroed at first. */
struct mockaccel_buffer {
	void *data;	 /* mapped here */
	size_t size;	 /* bytes; what was asked for, rounded up */
	uint32_t handle; /* for struct mock_accel_operation */
};

/* A completed operation. */
struct mockaccel_done {
	uint64_t cookie; /* of the operation */
	uint32_t bytes;	 /* that were written */
	int status;	 /* MOCK_ACCEL_COMPLETION_*, 0 is OK */
};

/**
 * mockaccel_open() - open a device
 * @name: a path ("/dev/mock-accel0_vf1"), a class device ("mock0_vf1"), the
 *	number of a physical function ("0"), a PCI address ("10000:01:00.0"), or
 *	NULL for number 0
 * @device: out
 *
 * Return: 0; -ENOENT if there is none of that name; what open() says.
 */
int mockaccel_open(const char *name, struct mockaccel **device);

/**
 * mockaccel_close() - close a device and all that belongs to it
 * @device: may be NULL
 */
void mockaccel_close(struct mockaccel *device);

/**
 * mockaccel_fd() - the file descriptor, for poll() and other ioctls
 * @device: the device
 */
int mockaccel_fd(const struct mockaccel *device);

/**
 * mockaccel_info() - what MOCK_ACCEL_IOC_GET_INFO says
 * @device: the device
 * @info: out
 */
int mockaccel_info(struct mockaccel *device, struct mock_accel_info *info);

/**
 * mockaccel_engine() - what MOCK_ACCEL_IOC_GET_ENGINE says
 * @device: the device
 * @engine: out
 */
int mockaccel_engine(struct mockaccel *device,
		     struct mock_accel_engine *engine);

/**
 * mockaccel_counters() - read the function's counters
 * @device: the device
 * @clear: not 0: set them to 0 after that
 * @counters: out
 */
int mockaccel_counters(struct mockaccel *device, int clear,
		       struct mock_accel_counters *counters);

/**
 * mockaccel_memory() - map the device memory
 * @device: the device
 * @data: out: mapped here until mockaccel_close()
 * @size: out: bytes
 *
 * The mapping ends with the device: touching it after a removal is SIGBUS.
 *
 * Return: 0; -ENXIO if there is no device memory that can be mapped.
 */
int mockaccel_memory(struct mockaccel *device, volatile void **data,
		     size_t *size);

/**
 * mockaccel_buffer_create() - get memory that the device reaches
 * @device: the device
 * @size: bytes, 1 to MOCK_ACCEL_MAX_BUFFER_BYTES
 * @buffer: out
 *
 * Return: 0; -EINVAL; -ENOSPC above the limits of a file; -ENOMEM; -ENODEV.
 */
int mockaccel_buffer_create(struct mockaccel *device, size_t size,
			    struct mockaccel_buffer **buffer);

/**
 * mockaccel_buffer_destroy() - give a buffer back
 * @device: the device
 * @buffer: the buffer; still there after a failure
 *
 * Return: 0; -EBUSY if an operation in flight names it; -EAGAIN; -ENODEV.
 */
int mockaccel_buffer_destroy(struct mockaccel *device,
			     struct mockaccel_buffer *buffer);

/**
 * mockaccel_queue_create() - take a hardware ring
 * @device: the device
 * @entries: a power of two; how many operations can be in flight
 * @flags: MOCK_ACCEL_QUEUE_*
 * @queue: out
 *
 * Return: 0; -EBUSY if all rings are taken; -EOPNOTSUPP without an engine;
 * -EINVAL; -ENOMEM; -ENODEV.
 */
int mockaccel_queue_create(struct mockaccel *device, uint32_t entries,
			   uint32_t flags, struct mockaccel_queue **queue);

/**
 * mockaccel_queue_destroy() - give a hardware ring back
 * @queue: the queue; gone also after a failure
 *
 * Return: 0; -EAGAIN, -ENODEV: the kernel frees its part when the device is
 * closed.
 */
int mockaccel_queue_destroy(struct mockaccel_queue *queue);

/**
 * mockaccel_copy() - put a copy into the queue's batch
 * @queue: the queue
 * @dst: target, NULL for device memory
 * @dst_offset: in it, bytes
 * @src: source, NULL for device memory
 * @src_offset: in it, bytes
 * @length: bytes
 * @cookie: comes back in the completion
 *
 * Nothing is sent before mockaccel_flush(). Ranges that overlap are copied as
 * by memmove() in one buffer.
 *
 * Return: 0; -EINVAL if a range is not in its buffer; -ENOBUFS if the batch is
 * full: flush it.
 */
int mockaccel_copy(struct mockaccel_queue *queue,
		   const struct mockaccel_buffer *dst, uint64_t dst_offset,
		   const struct mockaccel_buffer *src, uint64_t src_offset,
		   uint32_t length, uint64_t cookie);

/**
 * mockaccel_fill() - put a fill into the queue's batch
 * @queue: the queue
 * @dst: target, NULL for device memory
 * @dst_offset: in it, bytes
 * @pattern: 8 bytes, repeated from @dst_offset on, lowest byte first
 * @length: bytes
 * @cookie: comes back in the completion
 *
 * Return: as mockaccel_copy().
 */
int mockaccel_fill(struct mockaccel_queue *queue,
		   const struct mockaccel_buffer *dst, uint64_t dst_offset,
		   uint64_t pattern, uint32_t length, uint64_t cookie);

/**
 * mockaccel_nop() - put an operation that does nothing into the queue's batch
 * @queue: the queue
 * @cookie: comes back in the completion
 *
 * Return: 0 or -ENOBUFS.
 */
int mockaccel_nop(struct mockaccel_queue *queue, uint64_t cookie);

/**
 * mockaccel_flush() - submit the batch
 * @queue: the queue
 *
 * Operations for which the ring has no room stay in the batch: reap and flush
 * again. So does everything after a reset of the device, until all completions
 * were reaped.
 *
 * Return: operations that stay in the batch; -EAGAIN while the device is being
 * reset, recovered or suspended; -EINVAL; -ENODEV. After a failure the batch is
 * as it was.
 */
int mockaccel_flush(struct mockaccel_queue *queue);

/**
 * mockaccel_discard() - forget the batch
 * @queue: the queue
 */
void mockaccel_discard(struct mockaccel_queue *queue);

/**
 * mockaccel_reap() - take completions, without a system call
 * @queue: the queue
 * @done: out
 * @count: elements of @done
 *
 * Completions come in the order of the operations.
 *
 * Return: how many were there.
 */
int mockaccel_reap(struct mockaccel_queue *queue, struct mockaccel_done *done,
		   int count);

/**
 * mockaccel_in_flight() - operations submitted and not reaped
 * @queue: the queue
 */
uint32_t mockaccel_in_flight(const struct mockaccel_queue *queue);

/**
 * mockaccel_wait() - sleep until there are completions to reap
 * @queue: the queue
 * @count: so many; more than are in flight is -EINVAL
 * @timeout_ms: -1 for ever
 *
 * Return: completions that can be reaped; -ETIMEDOUT; -EINTR; -ENODEV.
 */
int mockaccel_wait(struct mockaccel_queue *queue, uint32_t count,
		   int timeout_ms);

/**
 * mockaccel_status_name() - a word for the status of a completion
 * @status: MOCK_ACCEL_COMPLETION_*
 */
const char *mockaccel_status_name(int status);

#ifdef __cplusplus
}
#endif

#endif /* LIBMOCKACCEL_H */
