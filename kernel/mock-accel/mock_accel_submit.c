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

#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mock_accel_queue.h"

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
		if (op->src_buffer ||
		    (op->flags & MOCK_ACCEL_OPERATION_SRC_LOCAL))
			return -EINVAL;
		break;
	case MOCK_ACCEL_OP_COPY:
		ret = mock_accel_translate_side(
			file, op->flags & MOCK_ACCEL_OPERATION_SRC_LOCAL,
			op->src_buffer, op->src, op->length, src);
		if (ret)
			return ret;
		break;
	default:
		return -EINVAL;
	}
	return mock_accel_translate_side(
		file, op->flags & MOCK_ACCEL_OPERATION_DST_LOCAL,
		op->dst_buffer, op->dst, op->length, dst);
}

static struct mock_accel_descriptor *mock_accel_push(
	struct mock_accel_queue *queue, const struct mock_accel_operation *op,
	const struct mock_accel_side *src, const struct mock_accel_side *dst)
{
	struct mock_accel_descriptor *ring =
		page_address(queue->descriptors.page);
	const u32 mask = queue->entries - 1;
	const u32 next = queue->submitted;
	struct mock_accel_descriptor *descriptor =
		&ring[(next - queue->origin) & mask];

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
	queue->submitted = next + 1;
	return descriptor;
}

/* How many operations there is room for. */
static u32 mock_accel_room(const struct mock_accel_queue *queue)
{
	/* It starts again when all that was in flight was read. */
	if (!queue->running && queue->consumed != queue->submitted)
		return 0;
	return queue->entries - (queue->submitted - queue->consumed);
}

/* Takes what it can; @submit->taken says how much that was. */
static int mock_accel_submit_all(struct mock_accel_queue *queue,
				 const struct mock_accel_operation *ops,
				 struct mock_accel_submit *submit)
{
	const u32 count = min(submit->count, mock_accel_room(queue));
	struct mock_accel_descriptor *last = NULL;
	struct mock_accel_side src, dst;
	int ret = 0;
	u32 i;

	if (!count)
		return 0;
	if (!queue->running) {
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
	ret = mock_accel_queue_set_consumed(queue, submit->consumed);
	if (ret)
		return ret;
	submit->taken = 0;
	ret = mock_accel_submit_all(queue, ops, submit);
	submit->submitted = queue->submitted;
	submit->origin = queue->origin;
	return ret;
}

/**
 * mock_accel_submit_ioctl() - MOCK_ACCEL_IOC_SUBMIT
 * @file: the open file
 * @arg: its argument
 *
 * Return: 0 or a negative errno, see README.md.
 */
long mock_accel_submit_ioctl(struct mock_accel_file *file,
			     struct mock_accel_submit __user *arg)
{
	struct mock_accel_operation *ops = NULL;
	struct mock_accel_function *func;
	struct mock_accel_submit submit;
	int ret;

	BUILD_BUG_ON(sizeof(submit) != 40);
	BUILD_BUG_ON(sizeof(*ops) != 40);
	ret = mock_accel_copy_in(&submit, arg, sizeof(submit));
	if (ret)
		return ret;
	if (submit.flags & ~MOCK_ACCEL_SUBMIT_NO_INTERRUPT)
		return -EINVAL;
	submit.count = min_t(u32, submit.count, MOCK_ACCEL_MAX_SUBMIT);
	if (submit.count) {
		ops = vmemdup_user(u64_to_user_ptr(submit.operations),
				   submit.count * sizeof(*ops));
		if (IS_ERR(ops))
			return PTR_ERR(ops);
	}

	func = mock_accel_get_function(file->node);
	ret = PTR_ERR_OR_ZERO(func);
	if (!ret) {
		mutex_lock(&file->lock);
		ret = mock_accel_submit_locked(file, ops, &submit);
		mutex_unlock(&file->lock);
		mock_accel_put_function(file->node);
	}
	kvfree(ops);
	if (ret)
		return ret;
	submit.size = sizeof(submit);
	return copy_to_user(arg, &submit, sizeof(submit)) ? -EFAULT : 0;
}
