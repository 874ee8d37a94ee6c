/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What /dev/vgpuN knows beside write(), read() and poll().
 *
 * Each structure begins with its size and can grow at its end; what a caller
 * does not know is zero. Reserved fields are zero. Errors that each ioctl has:
 * EFAULT, EINVAL (too short, a reserved field or an unknown flag is not zero),
 * E2BIG (longer than the driver knows, with something in it), ENODEV (the
 * device is gone), ENOTTY.
 */
#ifndef VGPU_IOCTL_H
#define VGPU_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "vgpu_protocol.h"

#define VGPU_IOC_MAGIC 'V'

/* How requests get to the device: vgpu_info.mode. */
enum vgpu_mode {
	VGPU_MODE_REGISTERS = 0, /* one at a time, of 1 KiB: any device */
	VGPU_MODE_DMA = 1, /* one at a time, in memory */
	VGPU_MODE_RING = 2 /* as many as the ring has entries, in memory */
};

/* Bits of vgpu_info.flags. */
#define VGPU_INFO_INTERRUPTS (1u << 0) /* else the device is polled */
#define VGPU_INFO_MSIX (1u << 1)

/**
 * struct vgpu_info - what is constant about a device, and a file's settings
 * @size: of this structure
 * @flags: VGPU_INFO_*; 0 when asked
 * @protocol_version: register PROTO_VERSION
 * @capabilities: register CAPABILITIES
 * @vm_id: register VM_ID
 * @pool_id: register POOL_ID, a letter
 * @priority: register PRIORITY: 0 low, 1 medium, 2 high
 * @mode: enum vgpu_mode
 * @ring_entries: 0 without a ring
 * @max_in_flight: requests an open file, with answers that were not taken
 * @max_bytes: of a request, and of a response
 * @timeout_ms: of this file; 0: none
 * @response_bytes: room for the answer to a write(), of this file
 * @reserved: 0
 */
struct vgpu_info {
	__u32 size;
	__u32 flags;
	__u32 protocol_version;
	__u32 capabilities;
	__u32 vm_id;
	__u32 pool_id;
	__u32 priority;
	__u32 mode;
	__u32 ring_entries;
	__u32 max_in_flight;
	__u32 max_bytes;
	__u32 timeout_ms;
	__u32 response_bytes;
	__u32 reserved;
};

/* Bits of vgpu_submit.flags. */
#define VGPU_SUBMIT_NONBLOCK (1u << 0) /* as O_NONBLOCK, for this call */
#define VGPU_SUBMIT_MAPPED (1u << 1) /* request and response are in a buffer */

#define VGPU_NO_TIMEOUT 0xffffffffu

/**
 * struct vgpu_submit - one request
 * @size: of this structure
 * @flags: VGPU_SUBMIT_*
 * @request: where it is: an address; mapped: an offset in the buffer, a
 *	multiple of 8
 * @response: where its answer is to be: an address, written by VGPU_IOC_WAIT;
 *	mapped: an offset in the buffer, a multiple of 8, written by the device
 * @request_bytes: from 1 to vgpu_info.max_bytes
 * @response_bytes: room, up to vgpu_info.max_bytes
 * @buffer: mapped: handle of the buffer, else 0
 * @timeout_ms: 0: that of the file; VGPU_NO_TIMEOUT: none
 * @user_data: comes back in the completion
 * @cookie: reply: names the request in this file; never 0, never used again
 *
 * Returns when the request is on its way; waits for room in the device. Errors:
 * EAGAIN (no room; also, whether to wait or not, when the file has as many in
 * flight as it may: take answers), EINVAL, EMSGSIZE (too long), ENOMEM, EINTR,
 * EIO (the device is broken).
 */
struct vgpu_submit {
	__u32 size;
	__u32 flags;
	__u64 request;
	__u64 response;
	__u32 request_bytes;
	__u32 response_bytes;
	__u32 buffer;
	__u32 timeout_ms;
	__u64 user_data;
	__u64 cookie;
};

/**
 * struct vgpu_batch - many requests, one doorbell
 * @size: of this structure
 * @flags: VGPU_SUBMIT_NONBLOCK
 * @count: of entries; at most VGPU_MAX_BATCH
 * @entry_size: of one entry, as the caller knows it
 * @entries: address of the first struct vgpu_submit; @size there is @entry_size,
 *	and VGPU_SUBMIT_NONBLOCK is not for entries
 * @submitted: reply: so many, from the first on, were taken, and have cookies.
 *	Fewer than @count when there is no more room, or the next one is wrong.
 * @reserved: 0
 *
 * Waits until at least one can be taken. Errors, when not even the first was:
 * those of VGPU_IOC_SUBMIT.
 */
struct vgpu_batch {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 entry_size;
	__u64 entries;
	__u32 submitted;
	__u32 reserved;
};
#define VGPU_MAX_BATCH 1024

/**
 * struct vgpu_completion - how one request ended
 * @cookie: of the request
 * @user_data: of the request
 * @status: enum vgpu_error, by the device; without meaning with an @error
 * @error: 0, or a negative errno in place of an answer: ETIMEDOUT, ENODEV,
 *	ECANCELED (suspend or reset of the device), EIO (the device broke its
 *	rules), EFAULT (@response of the request cannot be written)
 * @response_bytes: of the answer
 * @buffer: mapped: handle, else 0
 * @response: mapped: offset of the answer in the buffer
 * @wall_ns: from submission to here, by the guest's clock
 * @device_ns: when the device was done, by the device's clock; 0 if it does not
 *	say
 */
struct vgpu_completion {
	__u64 cookie;
	__u64 user_data;
	__u32 status;
	__s32 error;
	__u32 response_bytes;
	__u32 buffer;
	__u64 response;
	__u64 wall_ns;
	__u64 device_ns;
};

/* Bits of vgpu_wait.flags. */
#define VGPU_WAIT_NONBLOCK (1u << 0)
#define VGPU_WAIT_COOKIE (1u << 1) /* for the request that @cookie names only */
#define VGPU_WAIT_FORGET (1u << 2) /* if it is not there, it is not wanted later */

#define VGPU_WAIT_FOREVER (~0ull)

/**
 * struct vgpu_wait - take answers
 * @size: of this structure
 * @flags: VGPU_WAIT_*
 * @cookie: with VGPU_WAIT_COOKIE; @count is 1 then. Also with VGPU_WAIT_FORGET:
 *	an answer that comes after this call is dropped.
 * @timeout_ns: that this call waits at most, or VGPU_WAIT_FOREVER. It ends no
 *	request.
 * @completions: address of the first
 * @completion_size: of one, as the caller knows it
 * @count: most completions; at most VGPU_MAX_BATCH
 * @min_count: wait for so many, as long as as many are in flight
 * @reaped: reply
 *
 * Errors, with none taken: EAGAIN (none is there, and none in flight or not to
 * wait), ETIMEDOUT (none came in @timeout_ns), ENOENT (no request has this
 * cookie, or its answer was taken), EINTR.
 */
struct vgpu_wait {
	__u32 size;
	__u32 flags;
	__u64 cookie;
	__u64 timeout_ns;
	__u64 completions;
	__u32 completion_size;
	__u32 count;
	__u32 min_count;
	__u32 reaped;
};

/**
 * struct vgpu_buffer_create - memory that the program and the device share
 * @size: of this structure
 * @handle: reply: from 1
 * @bytes: of the buffer, up to VGPU_MAX_BUFFER_BYTES; reply: whole pages
 * @mmap_offset: reply: for mmap()
 *
 * Its pages are next to each other in memory, so that a request or an answer
 * may fill it; the larger, the less likely there are such. Errors: ENOSPC
 * (VGPU_MAX_BUFFERS, or all too large together), ENOMEM, EOPNOTSUPP (this
 * machine copies what devices read).
 */
struct vgpu_buffer_create {
	__u32 size;
	__u32 handle;
	__u64 bytes;
	__u64 mmap_offset;
};
#define VGPU_MAX_BUFFERS 64
#define VGPU_MAX_BUFFER_BYTES (32u << 20)
#define VGPU_MAX_FILE_BYTES (128u << 20) /* all buffers of an open file */

/**
 * struct vgpu_buffer_destroy - give a buffer back
 * @size: of this structure
 * @handle: of the buffer. Requests in flight and mappings keep its pages.
 */
struct vgpu_buffer_destroy {
	__u32 size;
	__u32 handle;
};

/**
 * struct vgpu_settings - of this open file, for later requests
 * @size: of this structure
 * @timeout_ms: how long a request may take; 0: for ever
 * @response_bytes: room for the answer to a write(), up to vgpu_info.max_bytes
 * @reserved: 0
 */
struct vgpu_settings {
	__u32 size;
	__u32 timeout_ms;
	__u32 response_bytes;
	__u32 reserved;
};

#define VGPU_IOC_INFO _IOWR(VGPU_IOC_MAGIC, 0, struct vgpu_info)
#define VGPU_IOC_SUBMIT _IOWR(VGPU_IOC_MAGIC, 1, struct vgpu_submit)
#define VGPU_IOC_WAIT _IOWR(VGPU_IOC_MAGIC, 2, struct vgpu_wait)
#define VGPU_IOC_BATCH _IOWR(VGPU_IOC_MAGIC, 3, struct vgpu_batch)
#define VGPU_IOC_BUFFER_CREATE \
	_IOWR(VGPU_IOC_MAGIC, 4, struct vgpu_buffer_create)
#define VGPU_IOC_BUFFER_DESTROY \
	_IOW(VGPU_IOC_MAGIC, 5, struct vgpu_buffer_destroy)
#define VGPU_IOC_SETTINGS _IOW(VGPU_IOC_MAGIC, 6, struct vgpu_settings)

#endif /* VGPU_IOCTL_H */
