/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * User space interface of /dev/mock-accelN and /dev/mock-accelN_vfM.
 *
 * Rules that hold for every structure here:
 *  - @size is set by the caller to sizeof() of the structure it was compiled
 *    with. Structures grow at the end only, and zero in a new field means what
 *    was there before it.
 *  - A smaller structure than the kernel knows is accepted, its missing fields
 *    are zero; a smaller one than version 1 of the structure is EINVAL.
 *  - A larger structure than the kernel knows is accepted if all that the kernel
 *    does not know is zero, else it is E2BIG; so is one larger than a page.
 *  - Bits of flags that are not defined and fields called "reserved" must be
 *    zero on the way in, else EINVAL. What is "out" only may be anything.
 *  - On the way out @size is the number of bytes that were written: what caller
 *    and kernel both know.
 *  - Nothing is written back when the ioctl fails.
 *  - The layout is the same for 32- and 64-bit callers.
 */
#ifndef MOCK_ACCEL_IOCTL_H
#define MOCK_ACCEL_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* An arbitrary letter that the kernel's ioctl-number list does not assign. */
#define MOCK_ACCEL_IOC_MAGIC 0xEA

/* The function is a virtual one. */
#define MOCK_ACCEL_INFO_VF 0x00000001u
/* The identifier is no RFC 4122 UUID: show @label, not @uuid. */
#define MOCK_ACCEL_INFO_HAS_LABEL 0x00000002u
/*
 * There is an interrupt: a change of STATUS can be waited for. Without one
 * WAIT_STATUS is EOPNOTSUPP, and poll() says POLLERR until the file was told so
 * by WAIT_STATUS or by GET_INFO, which lacks this flag.
 */
#define MOCK_ACCEL_INFO_HAS_IRQ 0x00000004u

/* @total_vfs is 0 and @vf_index is valid for a VF only; a PF has this value. */
#define MOCK_ACCEL_NO_VF_INDEX 0xffffffffu

#define MOCK_ACCEL_UUID_BYTES 16
#define MOCK_ACCEL_LABEL_BYTES 64

/**
 * struct mock_accel_info - what MOCK_ACCEL_IOC_GET_INFO returns
 * @size: in: sizeof(struct mock_accel_info); out: bytes that were written
 * @flags: out: MOCK_ACCEL_INFO_*
 * @device_id: out: register DEVICE_ID, 0x4D4F434B
 * @revision: out: register REVISION
 * @uuid: out: register UUID, in the order of the printed form
 * @label: out: register LABEL, printable ASCII, always NUL-terminated
 * @memory_size: out: bytes of device memory
 * @capabilities: out: register CAPABILITIES
 * @status: out: register STATUS, read after @status_seq
 * @numa_node: out: NUMA node of the PCI function, -1 if it has none
 * @total_vfs: out: VFs that the PF can enable, 0 for a VF
 * @vf_index: out: the M of mockN_vfM, MOCK_ACCEL_NO_VF_INDEX for a PF
 * @status_seq: out: goes up by at least one for a change of STATUS; compare
 *	for equality only, it wraps
 * @fw_version: out: register FW_VERSION
 * @reserved: in: 0; out: 0
 */
struct mock_accel_info {
	__u32 size;
	__u32 flags;
	__u32 device_id;
	__u32 revision;
	__u8 uuid[MOCK_ACCEL_UUID_BYTES];
	__u8 label[MOCK_ACCEL_LABEL_BYTES];
	__u64 memory_size;
	__u32 capabilities;
	__u32 status;
	__s32 numa_node;
	__u32 total_vfs;
	__u32 vf_index;
	__u32 status_seq;
	__u32 fw_version;
	__u32 reserved;
};

/**
 * struct mock_accel_wait - argument of MOCK_ACCEL_IOC_WAIT_STATUS
 * @size: in: sizeof(struct mock_accel_wait); out: bytes that were written
 * @flags: in: 0, none are defined; out: 0
 * @status_seq: in: the last value that the caller has seen; out: the value now
 * @timeout_ms: in: 0 looks once, -1 waits for ever, less is EINVAL
 * @status: out: register STATUS, read after @status_seq
 * @reserved: in: 0; out: 0
 */
struct mock_accel_wait {
	__u32 size;
	__u32 flags;
	__u32 status_seq;
	__s32 timeout_ms;
	__u32 status;
	__u32 reserved;
};

/*
 * DMA queues. A queue is one hardware ring, lent to one open file. Operations
 * name memory by the handle of a buffer of the same file and an offset in it,
 * or by an offset in device memory; bus addresses do not appear here.
 *
 * Operations and completions of a queue are counted from 0 by free-running
 * 32-bit numbers that wrap. Operation n completes in place n of the queue, and
 * completions come in the order of the operations. The completion ring can be
 * mapped read-only and polled without a system call: with
 *
 *	k = n - origin,
 *
 * completion n is in entry k modulo the number of entries, and is there once
 * bit 0 of its @phase equals ((k / entries) & 1) ^ 1. Read the rest of the
 * entry only after that, with an acquire barrier in between. "origin" is what
 * the last SUBMIT returned: it moves when the queue starts again after a reset,
 * an error or a suspend. Everything in flight at such a moment completes with
 * MOCK_ACCEL_COMPLETION_ABORTED.
 *
 * Entries are used again only after the caller said, by "consumed" of SUBMIT or
 * WAIT, that it has read them.
 */

#define MOCK_ACCEL_OP_NOP 0
/* @length bytes from @src to @dst. */
#define MOCK_ACCEL_OP_COPY 1
/* @length bytes at @dst: the 64-bit @src, little endian, again and again. */
#define MOCK_ACCEL_OP_FILL 2

/* Raise the queue's interrupt when this operation is done. */
#define MOCK_ACCEL_OPERATION_INTERRUPT 0x01u
/* @src, @dst are offsets in device memory; the buffer handle must be 0. */
#define MOCK_ACCEL_OPERATION_SRC_LOCAL 0x02u
#define MOCK_ACCEL_OPERATION_DST_LOCAL 0x04u

/* Status of a completion; anything but OK counts as failed. */
#define MOCK_ACCEL_COMPLETION_OK 0
#define MOCK_ACCEL_COMPLETION_BAD_OPCODE 1
#define MOCK_ACCEL_COMPLETION_BAD_FLAGS 2
#define MOCK_ACCEL_COMPLETION_BAD_LENGTH 3
#define MOCK_ACCEL_COMPLETION_READ_FAULT 4
#define MOCK_ACCEL_COMPLETION_WRITE_FAULT 5
#define MOCK_ACCEL_COMPLETION_OUT_OF_RANGE 6
#define MOCK_ACCEL_COMPLETION_ABORTED 7

/* Bit 0 of the @phase of a completion. */
#define MOCK_ACCEL_COMPLETION_PHASE 0x0001u

/* Limits of one open file; arbitrary. */
#define MOCK_ACCEL_MAX_QUEUES 8
#define MOCK_ACCEL_MAX_BUFFERS 64
#define MOCK_ACCEL_MAX_BUFFER_BYTES (4u << 20)
#define MOCK_ACCEL_MAX_FILE_BYTES (64u << 20)
/* Operations that one SUBMIT takes. */
#define MOCK_ACCEL_MAX_SUBMIT 1024

/**
 * struct mock_accel_completion - one entry of a completion ring
 * @cookie: that of the operation
 * @bytes: bytes that were written
 * @status: MOCK_ACCEL_COMPLETION_*
 * @phase: see above; written last
 */
struct mock_accel_completion {
	__le64 cookie;
	__le32 bytes;
	__le16 status;
	__le16 phase;
};

/**
 * struct mock_accel_operation - one element of the array of SUBMIT
 * @opcode: MOCK_ACCEL_OP_*
 * @flags: MOCK_ACCEL_OPERATION_*
 * @reserved: 0
 * @length: bytes; what the device makes of 0 and of too many is its business
 * @src_buffer: COPY without SRC_LOCAL: handle of the source; else 0
 * @dst_buffer: COPY and FILL without DST_LOCAL: handle of the target; else 0
 * @src: COPY: offset in @src_buffer or in device memory; FILL: the pattern;
 *	NOP: 0
 * @dst: COPY, FILL: offset in @dst_buffer or in device memory; NOP: 0
 * @cookie: comes back in the completion
 */
struct mock_accel_operation {
	__u8 opcode;
	__u8 flags;
	__u16 reserved;
	__u32 length;
	__u32 src_buffer;
	__u32 dst_buffer;
	__u64 src;
	__u64 dst;
	__u64 cookie;
};

/**
 * struct mock_accel_engine - what MOCK_ACCEL_IOC_GET_ENGINE returns
 * @size: in: sizeof(struct mock_accel_engine); out: bytes that were written
 * @ring_count: out: hardware rings, shared by all open files; 0: no engine
 * @max_entries: out: of a queue
 * @interrupt_rings: out: bit i: ring i has an interrupt
 * @memory_bytes: out: device memory that can be mapped, 0 if there is none
 * @memory_mmap_offset: out: for mmap(), MAP_SHARED
 * @reserved: in: 0; out: 0
 */
struct mock_accel_engine {
	__u32 size;
	__u32 ring_count;
	__u32 max_entries;
	__u32 interrupt_rings;
	__u64 memory_bytes;
	__u64 memory_mmap_offset;
	__u64 reserved;
};

/*
 * WAIT and poll() look at the ring from time to time; no interrupt is used. The
 * same happens where the ring has none.
 */
#define MOCK_ACCEL_QUEUE_NO_INTERRUPT 0x00000001u

/**
 * struct mock_accel_queue_create - argument of MOCK_ACCEL_IOC_QUEUE_CREATE
 * @size: in: sizeof(struct mock_accel_queue_create); out: bytes written
 * @flags: in: MOCK_ACCEL_QUEUE_*
 * @entries: in: a power of two, 2 to @max_entries
 * @queue: out: handle, not 0
 * @ring: out: which hardware ring
 * @completions_bytes: out: size of the completion ring
 * @completions_mmap_offset: out: for mmap(), PROT_READ and MAP_SHARED
 */
struct mock_accel_queue_create {
	__u32 size;
	__u32 flags;
	__u32 entries;
	__u32 queue;
	__u32 ring;
	__u32 completions_bytes;
	__u64 completions_mmap_offset;
};

/**
 * struct mock_accel_buffer_create - argument of MOCK_ACCEL_IOC_BUFFER_CREATE
 * @size: in: sizeof(struct mock_accel_buffer_create); out: bytes written
 * @flags: in: 0, none are defined; out: 0
 * @bytes: in: 1 to MOCK_ACCEL_MAX_BUFFER_BYTES; out: rounded up
 * @buffer: out: handle, not 0
 * @mmap_offset: out: for mmap(), MAP_SHARED
 */
struct mock_accel_buffer_create {
	__u32 size;
	__u32 flags;
	__u32 bytes;
	__u32 buffer;
	__u64 mmap_offset;
};

/**
 * struct mock_accel_destroy - argument of QUEUE_DESTROY and BUFFER_DESTROY
 * @size: in: sizeof(struct mock_accel_destroy)
 * @handle: in: queue or buffer
 * @flags: in: 0, none are defined; since version 1.2 of the driver
 * @reserved: in: 0
 *
 * Nothing is written back.
 */
struct mock_accel_destroy {
	__u32 size;
	__u32 handle;
	__u32 flags;
	__u32 reserved;
};

/* Do not raise an interrupt for the last operation of this call. */
#define MOCK_ACCEL_SUBMIT_NO_INTERRUPT 0x00000001u

/**
 * struct mock_accel_submit - argument of MOCK_ACCEL_IOC_SUBMIT
 * @size: in: sizeof(struct mock_accel_submit); out: bytes written
 * @queue: in: handle
 * @operations: in: address of an array of struct mock_accel_operation
 * @count: in: elements of the array; at most MOCK_ACCEL_MAX_SUBMIT are taken
 * @flags: in: MOCK_ACCEL_SUBMIT_*
 * @consumed: in: completions that the caller has read, counted from 0
 * @taken: out: operations that were taken, from the first; less than @count
 *	if there was no room or the next one is invalid. After a reset, error
 *	or suspend it is 0 until @consumed is all that was ever submitted.
 * @submitted: out: operations submitted so far, counted from 0
 * @origin: out: see above
 * @operation_bytes: in: sizeof(struct mock_accel_operation), so that the
 *	elements can grow by the same rules; 0: of its version 1. Since version
 *	1.2 of the driver.
 * @reserved: in: 0; out: 0
 */
struct mock_accel_submit {
	__u32 size;
	__u32 queue;
	__u64 operations;
	__u32 count;
	__u32 flags;
	__u32 consumed;
	__u32 taken;
	__u32 submitted;
	__u32 origin;
	__u32 operation_bytes;
	__u32 reserved;
};

/**
 * struct mock_accel_wait_queue - argument of MOCK_ACCEL_IOC_WAIT
 * @size: in: sizeof(struct mock_accel_wait_queue); out: bytes written
 * @queue: in: handle
 * @consumed: in: completions that the caller has read, counted from 0
 * @count: in: wait until so many more than @consumed are there
 * @timeout_ms: in: 0 looks once, -1 waits for ever, less is EINVAL
 * @completed: out: completions that are there, counted from 0
 * @origin: out: as in SUBMIT, for the completions up to @completed
 * @flags: in: 0, none are defined; out: 0
 */
struct mock_accel_wait_queue {
	__u32 size;
	__u32 queue;
	__u32 consumed;
	__u32 count;
	__s32 timeout_ms;
	__u32 completed;
	__u32 origin;
	__u32 flags;
};

/* Set all counters to 0 after reading them. */
#define MOCK_ACCEL_COUNTERS_CLEAR 0x00000001u

/**
 * struct mock_accel_counters - argument of MOCK_ACCEL_IOC_GET_COUNTERS
 * @size: in: sizeof(struct mock_accel_counters); out: bytes written
 * @flags: in: MOCK_ACCEL_COUNTERS_*; out: 0
 * @descriptors: out: descriptors that were executed
 * @bytes_read: out: by COPY
 * @bytes_written: out: by COPY and FILL
 * @errors: out: descriptors that failed
 * @doorbells: out: writes of RING_TAIL that were accepted
 * @bad_doorbells: out: writes of RING_TAIL that were ignored
 * @interrupts: out: interrupts of rings
 *
 * The counters are those of the function; all rings and users count.
 */
struct mock_accel_counters {
	__u32 size;
	__u32 flags;
	__u64 descriptors;
	__u64 bytes_read;
	__u64 bytes_written;
	__u64 errors;
	__u64 doorbells;
	__u64 bad_doorbells;
	__u64 interrupts;
};

/*
 * The numbers do not encode the structure's size, so that a structure can grow
 * (as in VFIO).
 */
#define MOCK_ACCEL_IOC_GET_INFO _IO(MOCK_ACCEL_IOC_MAGIC, 0)
#define MOCK_ACCEL_IOC_WAIT_STATUS _IO(MOCK_ACCEL_IOC_MAGIC, 1)
#define MOCK_ACCEL_IOC_GET_ENGINE _IO(MOCK_ACCEL_IOC_MAGIC, 2)
#define MOCK_ACCEL_IOC_QUEUE_CREATE _IO(MOCK_ACCEL_IOC_MAGIC, 3)
#define MOCK_ACCEL_IOC_QUEUE_DESTROY _IO(MOCK_ACCEL_IOC_MAGIC, 4)
#define MOCK_ACCEL_IOC_BUFFER_CREATE _IO(MOCK_ACCEL_IOC_MAGIC, 5)
#define MOCK_ACCEL_IOC_BUFFER_DESTROY _IO(MOCK_ACCEL_IOC_MAGIC, 6)
#define MOCK_ACCEL_IOC_SUBMIT _IO(MOCK_ACCEL_IOC_MAGIC, 7)
#define MOCK_ACCEL_IOC_WAIT _IO(MOCK_ACCEL_IOC_MAGIC, 8)
#define MOCK_ACCEL_IOC_GET_COUNTERS _IO(MOCK_ACCEL_IOC_MAGIC, 9)

#endif /* MOCK_ACCEL_IOCTL_H */
