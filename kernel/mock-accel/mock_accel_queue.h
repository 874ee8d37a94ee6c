/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internals of DMA queues, buffers and open files of the mock-accel driver.
 */
#ifndef MOCK_ACCEL_QUEUE_H
#define MOCK_ACCEL_QUEUE_H

#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "mock_accel.h"

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
 * struct mock_accel_mem - physically contiguous pages that the device reaches
 * @page: the first page; each has a reference of its own, so that a mapping of
 *	user space keeps what it shows after this object is gone
 * @size: bytes, whole pages
 * @dma: bus address while @mapped
 * @mapped: the device can reach the pages
 */
struct mock_accel_mem {
	struct page *page;
	size_t size;
	dma_addr_t dma;
	bool mapped;
};

/**
 * struct mock_accel_buffer - memory that operations of a file may name
 * @mem: the pages
 * @in_flight: operations, submitted and not yet seen complete, that name it
 */
struct mock_accel_buffer {
	struct mock_accel_mem mem;
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
 * @entries: of both rings, a power of two
 * @order: its logarithm
 * @interrupt: completions raise interrupts
 * @running: the hardware ring is enabled, with the operations from @origin on
 * @origin: the operation that is in entry 0 with phase 1
 * @submitted: operations submitted so far
 * @completed: of these, how many were seen complete; also read by the
 *	interrupt handler
 * @consumed: of these, how many user space has read
 * @descriptors: ring of struct mock_accel_descriptor
 * @completions: ring of struct mock_accel_completion
 * @slots: @entries elements
 *
 * All numbers of operations are free-running. All fields are protected by
 * @file->lock.
 */
struct mock_accel_queue {
	struct mock_accel_file *file;
	struct mock_accel_ring *ring;
	u32 entries;
	u32 order;
	bool interrupt;
	bool running;
	u32 origin;
	u32 submitted;
	u32 completed;
	u32 consumed;
	struct mock_accel_mem descriptors;
	struct mock_accel_mem completions;
	struct mock_accel_slot *slots;
};

/**
 * struct mock_accel_file - one open file
 * @node: what was opened; outlives the file
 * @seen_seq: the last @status_seq that this file was given, for poll()
 * @link: in @node->files
 * @mapping: of the inode that was opened, to end mappings of device memory
 * @lock: protects the queues and buffers
 * @waitq: woken when @events moves
 * @events: moves when operations complete
 * @queues: by handle - 1, NULL if free
 * @buffers: by handle - 1, NULL if free
 * @buffer_bytes: of all buffers
 */
struct mock_accel_file {
	struct mock_accel_node *node;
	u32 seen_seq;
	struct list_head link;
	struct address_space *mapping;
	struct mutex lock;
	wait_queue_head_t waitq;
	atomic_t events;
	struct mock_accel_queue *queues[MOCK_ACCEL_MAX_QUEUES];
	struct mock_accel_buffer *buffers[MOCK_ACCEL_MAX_BUFFERS];
	u32 buffer_bytes;
};

/* mock_accel_cdev.c */
int mock_accel_copy_in(void *dst, const void __user *src, u32 size);

/* mock_accel_ring.c */
bool mock_accel_queue_has_work(const struct mock_accel_queue *queue);
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

/* mock_accel_queue.c */
long mock_accel_queue_create_ioctl(struct mock_accel_file *file,
				   struct mock_accel_queue_create __user *arg);
long mock_accel_queue_destroy_ioctl(struct mock_accel_file *file,
				    struct mock_accel_destroy __user *arg);
long mock_accel_wait_ioctl(struct mock_accel_file *file,
			   struct mock_accel_wait_queue __user *arg);
struct mock_accel_queue *mock_accel_find_queue(struct mock_accel_file *file,
					       u32 handle);
int mock_accel_queue_set_consumed(struct mock_accel_queue *queue, u32 consumed);
bool mock_accel_file_has_completions(struct mock_accel_file *file);
void mock_accel_file_close_queues(struct mock_accel_file *file);
void mock_accel_files_stop(struct mock_accel_node *node,
			   enum mock_accel_stop how);
void mock_accel_files_disconnect(struct mock_accel_node *node);

/* mock_accel_submit.c */
long mock_accel_submit_ioctl(struct mock_accel_file *file,
			     struct mock_accel_submit __user *arg);

/* mock_accel_buffer.c */
int mock_accel_mem_alloc(struct mock_accel_mem *mem, struct device *dev,
			 size_t size);
void mock_accel_mem_unmap(struct mock_accel_mem *mem, struct device *dev);
void mock_accel_mem_free(struct mock_accel_mem *mem, struct device *dev);
long mock_accel_buffer_create_ioctl(struct mock_accel_file *file,
				    struct mock_accel_buffer_create __user *arg);
long mock_accel_buffer_destroy_ioctl(struct mock_accel_file *file,
				     struct mock_accel_destroy __user *arg);
void mock_accel_file_free_buffers(struct mock_accel_file *file,
				  struct device *dev);
struct mock_accel_buffer *mock_accel_find_buffer(struct mock_accel_file *file,
						 u32 handle);
int mock_accel_mmap(struct file *filp, struct vm_area_struct *vma);

/*
 * Places of things in the file, for mmap(). Also 32-bit callers can name them
 * by the page (mmap2): all is below 2^44.
 */
#define MOCK_ACCEL_MMAP_MEMORY (1ULL << 43)
#define MOCK_ACCEL_MMAP_STEP (1ULL << 24)
#define MOCK_ACCEL_MMAP_QUEUE(handle) \
	((1ULL << 40) + (u64)(handle)*MOCK_ACCEL_MMAP_STEP)
#define MOCK_ACCEL_MMAP_BUFFER(handle) \
	((1ULL << 41) + (u64)(handle)*MOCK_ACCEL_MMAP_STEP)

#endif /* MOCK_ACCEL_QUEUE_H */
