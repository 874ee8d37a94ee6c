/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What /dev/sstN knows beside write(), read() and poll().
 *
 * Each structure begins with its size and can grow at its end; what a caller
 * does not know is zero. Reserved fields are zero. Errors that each ioctl has:
 * EFAULT, EINVAL (too short, a reserved field or an unknown flag is not zero),
 * E2BIG (longer than the driver knows, with something in it), ENODEV (the
 * device is gone), ENOTTY.
 */
#ifndef SST_IOCTL_H
#define SST_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "sst_protocol.h"

#define SST_IOC_MAGIC 'S'

/* Bits of sst_info.flags. */
#define SST_INFO_LOCK_STEP (1u << 0) /* completions by the guest's clock */
#define SST_INFO_TIMING (1u << 1) /* completions have latencies */

/**
 * struct sst_info - what is constant about a device, and a file's settings
 * @size: of this structure
 * @flags: SST_INFO_*
 * @version: of the device's configuration space
 * @device_id: which of a machine's it is
 * @features: enum sst_feature, accepted
 * @queue_pairs: that the driver uses
 * @queue_entries: of each request queue
 * @max_in_flight: requests an open file, with answers that were not read
 * @timeout_ms: of this file; 0: none
 */
struct sst_info {
	__u32 size;
	__u32 flags;
	__u32 version;
	__u32 device_id;
	__u64 features;
	__u32 queue_pairs;
	__u32 queue_entries;
	__u32 max_in_flight;
	__u32 timeout_ms;
};

/* Bits of sst_batch.flags. */
#define SST_BATCH_NONBLOCK (1u << 0) /* as O_NONBLOCK, for this call */
#define SST_BATCH_QUEUE (1u << 1) /* use @queue, not the CPU's */

/* Bits of sst_batch_entry.flags. */
#define SST_ENTRY_MAPPED (1u << 0) /* request and response are in a buffer */

/**
 * struct sst_batch_entry - one request of a batch
 * @flags: SST_ENTRY_*
 * @request_bytes: of the request; SST_REQUEST_HEADER_SIZE up to its size; what
 *	is missing is zero
 * @request: where it is: an address; or, mapped, an offset in the buffer, a
 *	multiple of 8. The driver writes request_id there.
 * @response: mapped: offset in the buffer, a multiple of 32
 * @response_bytes: mapped: room there, SST_RESPONSE_HEADER_SIZE up to the size
 *	of a response
 * @buffer: mapped: handle of the buffer
 */
struct sst_batch_entry {
	__u32 flags;
	__u32 request_bytes;
	__u64 request;
	__u64 response;
	__u32 response_bytes;
	__u32 buffer;
};

/**
 * struct sst_batch - many requests, one kick
 * @size: of this structure
 * @flags: SST_BATCH_*
 * @count: of entries; at most SST_MAX_BATCH
 * @entry_size: of one entry, as the caller knows it
 * @entries: address of the first
 * @queue: queue pair, with SST_BATCH_QUEUE
 * @submitted: reply: so many, from the first on, were taken. Fewer than @count
 *	when the queue or the file is full, or the next one is not valid.
 *
 * Waits until at least one can be taken. Answers come by SST_IOC_REAP or
 * read(). Errors, when not even the first was taken: EAGAIN (full), EINVAL,
 * ENOMEM, EINTR.
 */
struct sst_batch {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 entry_size;
	__u64 entries;
	__u32 queue;
	__u32 submitted;
};
#define SST_MAX_BATCH 1024

/**
 * struct sst_completion - how one request ended
 * @user_data: of the request
 * @request_id: that the driver gave it
 * @result: of the response
 * @status: enum sst_status; without meaning with an @error
 * @error: 0, or a negative errno in place of an answer: ETIMEDOUT, ENODEV,
 *	ECANCELED (suspend or reset of the device), EIO (the device broke its
 *	rules)
 * @response_bytes: that the device has written
 * @buffer: mapped: handle, else 0
 * @response: mapped: offset of the response in the buffer
 * @wall_ns: from submission to here, by the guest's clock
 * @latency_ns: of the simulation, 0 without SST_INFO_TIMING
 * @finished_ns: simulated time of the completion, 0 without SST_INFO_TIMING
 */
struct sst_completion {
	__u64 user_data;
	__u64 request_id;
	__u64 result;
	__u32 status;
	__s32 error;
	__u32 response_bytes;
	__u32 buffer;
	__u64 response;
	__u64 wall_ns;
	__u64 latency_ns;
	__u64 finished_ns;
};

/* Bits of sst_reap.flags. */
#define SST_REAP_NONBLOCK (1u << 0)

/**
 * struct sst_reap - take answers
 * @size: of this structure
 * @flags: SST_REAP_*
 * @count: most completions; at most SST_MAX_BATCH
 * @completion_size: of one completion, as the caller knows it
 * @completions: address of the first
 * @responses: address of @count whole responses, or 0: not wanted. That of a
 *	mapped request is not touched.
 * @min_count: wait for so many, as long as as many are in flight
 * @reaped: reply
 *
 * Errors: EAGAIN (none is there, and none in flight or not to wait), EINTR
 * (with none taken).
 */
struct sst_reap {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 completion_size;
	__u64 completions;
	__u64 responses;
	__u32 min_count;
	__u32 reaped;
};

/* Bits of sst_events.flags. */
#define SST_EVENTS_SUBSCRIBE (1u << 0)
#define SST_EVENTS_UNSUBSCRIBE (1u << 1)
#define SST_EVENTS_NONBLOCK (1u << 2)

/**
 * struct sst_events - hear of the device's events
 * @size: of this structure
 * @flags: SST_EVENTS_*
 * @count: most events to take
 * @taken: reply
 * @events: address of @count struct SSTEvent
 * @lost: reply: events that newer ones have replaced, since the subscription
 *
 * With a @count waits for one. After SUBSCRIBE also read() of 24 up to 4111
 * bytes gives events, and poll() says POLLIN and POLLPRI for them. Errors:
 * EAGAIN, EINTR, EOPNOTSUPP (the device has none), ENXIO (not subscribed).
 */
struct sst_events {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 taken;
	__u64 events;
	__u64 lost;
};

/**
 * struct sst_buffer_create - memory that the program and the device share
 * @size: of this structure
 * @handle: reply: from 1
 * @bytes: of the buffer; reply: whole pages
 * @mmap_offset: reply: for mmap()
 *
 * Errors: ENOSPC (SST_MAX_BUFFERS, SST_MAX_BUFFER_BYTES), ENOMEM.
 */
struct sst_buffer_create {
	__u32 size;
	__u32 handle;
	__u64 bytes;
	__u64 mmap_offset;
};
#define SST_MAX_BUFFERS 64
#define SST_MAX_BUFFER_BYTES (64u << 20) /* of an open file */

/**
 * struct sst_buffer_destroy - give a buffer back
 * @size: of this structure
 * @handle: of the buffer. Requests in flight and mappings keep its pages.
 */
struct sst_buffer_destroy {
	__u32 size;
	__u32 handle;
};

/**
 * struct sst_timeout - how long this file's later requests may take
 * @size: of this structure
 * @timeout_ms: 0: for ever
 */
struct sst_timeout {
	__u32 size;
	__u32 timeout_ms;
};

#define SST_IOC_INFO _IOWR(SST_IOC_MAGIC, 0, struct sst_info)
#define SST_IOC_SUBMIT _IOWR(SST_IOC_MAGIC, 1, struct sst_batch)
#define SST_IOC_REAP _IOWR(SST_IOC_MAGIC, 2, struct sst_reap)
#define SST_IOC_EVENTS _IOWR(SST_IOC_MAGIC, 3, struct sst_events)
#define SST_IOC_BUFFER_CREATE _IOWR(SST_IOC_MAGIC, 4, struct sst_buffer_create)
#define SST_IOC_BUFFER_DESTROY _IOW(SST_IOC_MAGIC, 5, struct sst_buffer_destroy)
#define SST_IOC_TIMEOUT _IOW(SST_IOC_MAGIC, 6, struct sst_timeout)

/**
 * struct sst_uring_request - SQE's 16 bytes of an io_uring command
 * @request: address of a struct SSTRequest, read when it is submitted
 * @response: address of a struct SSTResponse, written when it is complete
 *
 * The CQE's res is the size of a response, or a negative errno.
 */
struct sst_uring_request {
	__u64 request;
	__u64 response;
};

/* The cmd_op of an SQE with IORING_OP_URING_CMD. */
#define SST_URING_REQUEST _IOWR(SST_IOC_MAGIC, 64, struct sst_uring_request)

#endif /* SST_IOCTL_H */
