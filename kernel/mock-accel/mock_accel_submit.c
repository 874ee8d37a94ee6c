// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: submission of operations
 */

/**
 * DOC: from operations to descriptors
 *
 * Operations are copied from user space once, before any lock is taken, and the
 * copy is checked. Each address in a descriptor is the bus address of a buffer
 * of the same file plus an offset whose range lies in that buffer; nothing else
 * of user space can reach an address field, except offsets in device memory,
 * which the device checks, and fill patterns. The buffers that a descriptor
 * names are held until its completion was seen.
 */

#include <linux/mm.h>
#include <linux/slab.h>

#include "mimic_uapi.h"
#include "mock_accel_buffer.h"
#include "mock_accel_hw.h"
#include "mock_accel_queue.h"
#include "mock_accel_ring.h"
#include "mock_accel_submit.h"

#define MOCK_ACCEL_OPERATION_FLAGS                                         \
	(MOCK_ACCEL_OPERATION_INTERRUPT | MOCK_ACCEL_OPERATION_SRC_LOCAL | \
	 MOCK_ACCEL_OPERATION_DST_LOCAL)

/**
 * struct mock_accel_side - one end of an operation, checked
 * @buffer: memory of the file, or NULL
 * @address: what the descriptor gets
 */
struct mock_accel_side {
	struct mock_accel_buffer *buffer;
	u64 address;
};

static int mock_accel_translate_side(struct mock_accel_file *file, bool local,
				     u32 handle, u64 offset, u32 length,
				     struct mock_accel_side *side)
{
	struct mock_accel_buffer *buffer;

	side->buffer = NULL;
	side->address = offset;
	if (local)
		return handle ? -EINVAL : 0;
	buffer = mock_accel_find_buffer(file, handle);
	if (!buffer || offset > buffer->mem.size ||
	    length > buffer->mem.size - offset)
		return -EINVAL;
	side->buffer = buffer;
	side->address = buffer->mem.dma + offset;
	return 0;
}

static int mock_accel_translate(struct mock_accel_file *file,
				const struct mock_accel_operation *op,
				struct mock_accel_side *src,
				struct mock_accel_side *dst)
{
	const bool src_local = op->flags & MOCK_ACCEL_OPERATION_SRC_LOCAL;
	const bool dst_local = op->flags & MOCK_ACCEL_OPERATION_DST_LOCAL;
	int ret;

	if ((op->flags & ~MOCK_ACCEL_OPERATION_FLAGS) || op->reserved)
		return -EINVAL;
	*src = (struct mock_accel_side){ .address = op->src };
	*dst = (struct mock_accel_side){ .address = op->dst };
	switch (op->opcode) {
	case MOCK_ACCEL_OP_NOP:
		if (op->src || op->dst || op->src_buffer || op->dst_buffer ||
		    (op->flags & ~MOCK_ACCEL_OPERATION_INTERRUPT))
			return -EINVAL;
		return 0;
	case MOCK_ACCEL_OP_FILL:
		if (op->src_buffer || src_local)
			return -EINVAL;
		break;
	case MOCK_ACCEL_OP_COPY:
		ret = mock_accel_translate_side(file, src_local, op->src_buffer,
						op->src, op->length, src);
		if (ret)
			return ret;
		break;
	default:
		return -EINVAL;
	}
	return mock_accel_translate_side(file, dst_local, op->dst_buffer,
					 op->dst, op->length, dst);
}

static struct mock_accel_descriptor *
mock_accel_push(struct mock_accel_queue *queue,
		const struct mock_accel_operation *op,
		const struct mock_accel_side *src,
		const struct mock_accel_side *dst)
{
	struct mock_accel_descriptor *ring =
		page_address(queue->descriptors.page);
	struct mock_accel_progress *progress = &queue->progress;
	const u32 mask = progress->entries - 1;
	const u32 next = progress->submitted;
	struct mock_accel_descriptor *descriptor =
		&ring[mock_accel_progress_place(progress, next) & mask];

	*descriptor = (struct mock_accel_descriptor){
		.opcode = op->opcode,
		.flags = op->flags,
		.length = cpu_to_le32(op->length),
		.src = cpu_to_le64(src->address),
		.dst = cpu_to_le64(dst->address),
		.cookie = cpu_to_le64(op->cookie),
	};
	queue->slots[next & mask] = (struct mock_accel_slot){
		.src = src->buffer,
		.dst = dst->buffer,
		.cookie = op->cookie,
	};
	if (src->buffer)
		src->buffer->in_flight++;
	if (dst->buffer)
		dst->buffer->in_flight++;
	progress->submitted = next + 1;
	return descriptor;
}

/* Takes what it can; @submit->taken says how much that was. */
static int mock_accel_submit_all(struct mock_accel_queue *queue,
				 const struct mock_accel_operation *ops,
				 struct mock_accel_submit *submit)
{
	const u32 count = min(submit->count,
			      mock_accel_progress_room(&queue->progress));
	struct mock_accel_descriptor *last = NULL;
	struct mock_accel_side src, dst;
	int ret = 0;
	u32 i;

	if (!count)
		return 0;
	if (!queue->progress.running) {
		ret = mock_accel_queue_start(queue);
		if (ret)
			return ret;
	}
	for (i = 0; i < count; i++) {
		ret = mock_accel_translate(queue->file, &ops[i], &src, &dst);
		if (ret)
			break;
		last = mock_accel_push(queue, &ops[i], &src, &dst);
	}
	submit->taken = i;
	if (!last)
		return ret;
	/* One interrupt a call, also if the ring never runs empty. */
	if (!(submit->flags & MOCK_ACCEL_SUBMIT_NO_INTERRUPT))
		last->flags |= MOCK_ACCEL_OPERATION_INTERRUPT;
	mock_accel_queue_ring_doorbell(queue);
	return 0;
}

static int mock_accel_submit_locked(struct mock_accel_file *file,
				    const struct mock_accel_operation *ops,
				    struct mock_accel_submit *submit)
{
	struct mock_accel_queue *queue;
	int ret;

	lockdep_assert_held(&file->lock);
	queue = mock_accel_find_queue(file, submit->queue);
	if (!queue)
		return -EINVAL;
	mock_accel_queue_scan(queue);
	if (!mock_accel_progress_consume(&queue->progress, submit->consumed))
		return -EINVAL;
	submit->taken = 0;
	ret = mock_accel_submit_all(queue, ops, submit);
	submit->submitted = queue->progress.submitted;
	submit->origin = queue->progress.origin;
	return ret;
}

static struct mock_accel_operation *
mock_accel_copy_operations(const struct mock_accel_submit *submit)
{
	const u32 min_size = offsetofend(struct mock_accel_operation, cookie);
	u32 user_size = submit->operation_bytes;

	if (!user_size)
		user_size = min_size;
	return mimic_copy_array(u64_to_user_ptr(submit->operations),
				submit->count, user_size,
				sizeof(struct mock_accel_operation), min_size);
}

/**
 * mock_accel_submit() - MOCK_ACCEL_IOC_SUBMIT
 * @context: the open file
 * @argument: struct mock_accel_submit
 *
 * Return: 0 or a negative errno, see README.md.
 */
int mock_accel_submit(void *context, void *argument)
{
	struct mock_accel_submit *submit = argument;
	struct mock_accel_operation *ops = NULL;
	struct mock_accel_file *file = context;
	struct mock_accel_node *node = mock_accel_node_of(file);
	struct mock_accel_function *func;
	int ret;

	if ((submit->flags & ~MOCK_ACCEL_SUBMIT_NO_INTERRUPT) ||
	    submit->reserved)
		return -EINVAL;
	submit->count = min_t(u32, submit->count, MOCK_ACCEL_MAX_SUBMIT);
	if (submit->count) {
		ops = mock_accel_copy_operations(submit);
		if (IS_ERR(ops))
			return PTR_ERR(ops);
	}

	func = mock_accel_get_function(node);
	ret = PTR_ERR_OR_ZERO(func);
	if (!ret) {
		mutex_lock(&file->lock);
		ret = mock_accel_submit_locked(file, ops, submit);
		mutex_unlock(&file->lock);
		mock_accel_put_function(node);
	}
	kvfree(ops);
	return ret;
}
