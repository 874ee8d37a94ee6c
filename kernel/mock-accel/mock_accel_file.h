/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of an open file of the mock-accel driver: queues and buffers.
 */
#ifndef MOCK_ACCEL_FILE_H
#define MOCK_ACCEL_FILE_H

#include <linux/fs.h>
#include <linux/workqueue.h>

#include "mimic_mem.h"
#include "mock_accel.h"
#include "mock_accel_progress.h"

/**
 * struct mock_accel_descriptor - what the device reads from a ring
 * @opcode: MOCK_ACCEL_OP_*
 * @flags: MOCK_ACCEL_OPERATION_*, the same bits
 * @reserved: 0
 * @length: bytes
 * @src: bus address, offset in device memory, or pattern
 * @dst: bus address or offset in device memory
 * @cookie: comes back in the completion
 */
struct mock_accel_descriptor {
	u8 opcode;
	u8 flags;
	__le16 reserved;
	__le32 length;
	__le64 src;
	__le64 dst;
	__le64 cookie;
};

/**
 * struct mock_accel_buffer - memory that operations of a file may name
 * @mem: the pages
 * @in_flight: operations, submitted and not yet seen complete, that name it
 */
struct mock_accel_buffer {
	struct mimic_mem mem;
	u32 in_flight;
};

/**
 * struct mock_accel_slot - what the driver remembers of an operation in flight
 * @src: buffer that is read, or NULL
 * @dst: buffer that is written, or NULL
 * @cookie: of the operation
 */
struct mock_accel_slot {
	struct mock_accel_buffer *src;
	struct mock_accel_buffer *dst;
	u64 cookie;
};

/**
 * struct mock_accel_queue - a hardware ring lent to an open file
 * @file: the file
 * @ring: the hardware ring, NULL after the function went away
 * @interrupt: completions raise interrupts
 * @progress: how far it is
 * @descriptors: ring of struct mock_accel_descriptor
 * @completions: ring of struct mock_accel_completion
 * @slots: as many as entries
 *
 * All fields are protected by @file->lock; the interrupt handler looks at
 * @progress without it.
 */
struct mock_accel_queue {
	struct mock_accel_file *file;
	struct mock_accel_ring *ring;
	bool interrupt;
	struct mock_accel_progress progress;
	struct mimic_mem descriptors;
	struct mimic_mem completions;
	struct mock_accel_slot *slots;
};

/**
 * struct mock_accel_file - one open file
 * @base: what any open file of a node has
 * @seen_seq: the last @status_seq that this file was given, for poll()
 * @told_no_irq: it was told that there is no interrupt, for poll()
 * @mapping: of the inode that was opened, to end mappings of device memory
 * @lock: protects the queues and buffers
 * @waitq: woken when @events moves
 * @events: moves when operations complete
 * @look: wakes @waitq where no interrupt does, so that poll() looks again
 * @queues: by handle - 1, NULL if free
 * @buffers: by handle - 1, NULL if free
 * @buffer_bytes: of all buffers
 */
struct mock_accel_file {
	struct mimic_node_file base;
	u32 seen_seq;
	bool told_no_irq;
	struct address_space *mapping;
	struct mutex lock;
	wait_queue_head_t waitq;
	atomic_t events;
	struct delayed_work look;
	struct mock_accel_queue *queues[MOCK_ACCEL_MAX_QUEUES];
	struct mock_accel_buffer *buffers[MOCK_ACCEL_MAX_BUFFERS];
	u32 buffer_bytes;
};

static inline struct mock_accel_node *
mock_accel_node_of(const struct mock_accel_file *file)
{
	return container_of(file->base.node, struct mock_accel_node, base);
}

/*
 * Places of things in the file, for mmap(). Also 32-bit callers can name them
 * by the page (mmap2): all is below 2^44.
 */
#define MOCK_ACCEL_MMAP_MEMORY (1ULL << 43)
#define MOCK_ACCEL_MMAP_STEP (1ULL << 24)
#define MOCK_ACCEL_MMAP_QUEUE(handle) \
	((1ULL << 40) + (u64)(handle) * MOCK_ACCEL_MMAP_STEP)
#define MOCK_ACCEL_MMAP_BUFFER(handle) \
	((1ULL << 41) + (u64)(handle) * MOCK_ACCEL_MMAP_STEP)

#endif /* MOCK_ACCEL_FILE_H */
