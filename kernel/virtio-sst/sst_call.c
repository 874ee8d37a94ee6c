// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: one request and its answer
 */

#include <linux/dma-mapping.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "sst_answer.h"
#include "sst_call.h"

static struct kmem_cache *sst_call_cache;

/**
 * sst_calls_init() - prepare for calls
 *
 * Context: module load.
 * Return: 0 or -ENOMEM.
 */
int sst_calls_init(void)
{
	const size_t start = offsetof(struct sst_call, out);
	const size_t size = sizeof(struct sst_call) - start;

	/* Hardened kernels copy to and from user space by permission only. */
	sst_call_cache = kmem_cache_create_usercopy("sst_call",
						    sizeof(struct sst_call),
						    SST_CALL_ALIGN,
						    SLAB_ACCOUNT, start, size,
						    NULL);
	return sst_call_cache ? 0 : -ENOMEM;
}

/**
 * sst_calls_exit() - undo sst_calls_init()
 *
 * Context: there are no calls.
 */
void sst_calls_exit(void)
{
	kmem_cache_destroy(sst_call_cache);
}

/**
 * sst_call_new() - make a call with one reference
 * @file: open
 *
 * Context: may sleep.
 * Return: a call without a request, or NULL.
 */
struct sst_call *sst_call_new(struct sst_file *file)
{
	struct sst_call *call = kmem_cache_alloc(sst_call_cache, GFP_KERNEL);

	if (!call)
		return NULL;
	/* Not what user space and the device write. */
	memset(call, 0, offsetof(struct sst_call, out));
	INIT_LIST_HEAD(&call->link);
	mimic_entry_init(&call->entry, &file->ledger);
	return call;
}

/* Of a ledger: nobody has the call any more. */
void sst_call_free(struct mimic_entry *entry)
{
	struct sst_call *call = to_sst_call(entry);

	sst_buffer_put(call->buffer);
	kmem_cache_free(sst_call_cache, call);
}

/* Zeros where a request is shorter than what the device is sent. */
static void sst_call_pad(struct sst_call *call, const struct sst_device *dev)
{
	const u32 most = sizeof(struct SSTRequest);

	if (!dev->short_requests)
		memset(call->out + call->request_bytes, 0,
		       most - call->request_bytes);
}

/**
 * sst_call_copy() - take a request from user space
 * @call: new
 * @dev: that it is for
 * @request: address
 * @bytes: SST_REQUEST_HEADER_SIZE up to all
 *
 * Return: 0 or -EFAULT.
 */
int sst_call_copy(struct sst_call *call, struct sst_device *dev,
		  const void __user *request, u32 bytes)
{
	const u32 prefix = min_t(u32, bytes, SST_REQUEST_PREFIX_SIZE);
	struct SSTRequest *copy = (struct SSTRequest *)call->out;

	memset(call->out, 0, SST_REQUEST_PREFIX_SIZE);
	if (copy_from_user(call->out, request, prefix))
		return -EFAULT;
	if (dev->short_requests)
		bytes = min(bytes, sst_request_bytes(copy));
	if (bytes > prefix &&
	    copy_from_user(call->out + prefix, request + prefix,
			   bytes - prefix))
		return -EFAULT;
	call->request_bytes = bytes;
	call->response_bytes = sizeof(struct SSTResponse);
	call->user_data = copy->user_data;
	sst_call_pad(call, dev);
	return 0;
}

/**
 * sst_call_map() - take a request that is in a buffer
 * @call: new
 * @file: whose buffer
 * @from: where it is
 *
 * Return: 0 or -EINVAL.
 */
int sst_call_map(struct sst_call *call, struct sst_file *file,
		 const struct sst_batch_entry *from)
{
	struct sst_buffer *buffer = sst_buffer_get(file, from->buffer);
	const u8 *request;

	if (!buffer)
		return -EINVAL;
	/* Freed with the call. */
	call->buffer = buffer;
	if (!sst_span_is_valid(from->request, from->request_bytes,
			       SST_REQUEST_HEADER_SIZE,
			       sizeof(struct SSTRequest), 8,
			       sst_buffer_size(buffer)) ||
	    !sst_span_is_valid(from->response, from->response_bytes,
			       SST_RESPONSE_HEADER_SIZE,
			       sizeof(struct SSTResponse), 32,
			       sst_buffer_size(buffer)))
		return -EINVAL;
	call->request_bytes = from->request_bytes;
	call->response_bytes = from->response_bytes;
	call->request_offset = from->request;
	call->response_offset = from->response;
	/* 8 bytes at a multiple of 8 are in one page. */
	request = sst_buffer_at(buffer, from->request +
			offsetof(struct SSTRequest, user_data));
	call->user_data = READ_ONCE(*(const u64 *)request);
	sst_call_pad(call, file->dev);
	return 0;
}

/**
 * sst_call_to_user() - give the response to user space
 * @call: settled without an error, not mapped; the caller has it
 * @response: address of a struct SSTResponse
 *
 * Return: 0 or -EFAULT.
 */
int sst_call_to_user(const struct sst_call *call, void __user *response)
{
	const u32 rest = sizeof(struct SSTResponse) - call->used;

	/* What the device has not written is not ours to show. */
	if (copy_to_user(response, call->in, call->used) ||
	    clear_user(response + call->used, rest))
		return -EFAULT;
	return 0;
}

/* Adds the pages of a part of @buffer to @sg; returns how many. */
static u32 sst_call_sg(struct scatterlist *sg, const struct sst_buffer *buffer,
		       u64 offset, u32 bytes)
{
	u32 count = 0;

	while (bytes) {
		const u32 part = min_t(u32, bytes,
				       PAGE_SIZE - offset_in_page(offset));

		sg_set_page(&sg[count++], buffer->pages[offset >> PAGE_SHIFT],
			    part, offset_in_page(offset));
		offset += part;
		bytes -= part;
	}
	return count;
}

/* Two pages of a buffer and what follows from the call. */
#define SST_CALL_SEGMENTS 3

/*
 * One direction of a call: a part of its buffer, or of @own, and with timing
 * what comes after a whole request or response, padded.
 */
static void sst_call_direction(const struct sst_call *call, bool whole,
			       struct scatterlist *sg, u64 offset, u32 bytes,
			       u8 *own, u32 own_bytes)
{
	u32 count = 0;

	sg_init_table(sg, SST_CALL_SEGMENTS);
	if (!call->buffer)
		sg_set_buf(&sg[count++], own, whole ? own_bytes : bytes);
	else
		count = sst_call_sg(sg, call->buffer, offset, bytes);
	if (call->buffer && whole && bytes < own_bytes)
		sg_set_buf(&sg[count++], own + bytes, own_bytes - bytes);
	sg_mark_end(&sg[count - 1]);
}

static void sst_call_set_id(struct sst_call *call)
{
	const u64 place = offsetof(struct SSTRequest, request_id);

	if (call->buffer)
		WRITE_ONCE(*(u64 *)sst_buffer_at(call->buffer,
				call->request_offset + place), call->id);
	else
		memcpy(call->out + place, &call->id, sizeof(call->id));
}

/**
 * sst_call_add() - give a call to the device
 * @call: with a request; new
 * @dev: runs
 * @vq: of the call's queue, whose lock is held
 *
 * Return: 0; -ENOSPC if there is no room; -ENOMEM, -EIO (the queue is broken).
 */
int sst_call_add(struct sst_call *call, struct sst_device *dev,
		 struct virtqueue *vq)
{
	struct sst_submit *submit = (void *)(call->out +
					     sizeof(struct SSTRequest));
	struct scatterlist out[SST_CALL_SEGMENTS], in[SST_CALL_SEGMENTS];
	struct scatterlist *sgs[] = { out, in };
	const u32 out_bytes = sizeof(struct SSTRequest) +
			      (dev->lock_step ? sizeof(*submit) : 0);

	call->submitted = ktime_get();
	call->id = atomic64_inc_return(&dev->next_id);
	sst_call_set_id(call);
	submit->submitted = ktime_to_ns(call->submitted);
	sst_call_direction(call, !dev->short_requests, out,
			   call->request_offset, call->request_bytes, call->out,
			   out_bytes);
	sst_call_direction(call, dev->timing, in, call->response_offset,
			   call->response_bytes, call->in, sizeof(call->in));
	return virtqueue_add_sgs(vq, sgs, 1, 1, call, GFP_ATOMIC);
}

/**
 * sst_call_answer() - look at what the device has answered
 * @call: whose buffers have come out of the queue
 * @dev: whose
 * @used: bytes that it says it has written
 *
 * Context: the lock of the queue is held; the entry may be settled already, and
 * then nobody reads what is written here.
 * Return: 0 or -EIO.
 */
int sst_call_answer(struct sst_call *call, struct sst_device *dev, u32 used)
{
	struct sst_answer answer;
	const void *from = call->in;
	int ret;

	if (call->buffer)
		/* 32 bytes at a multiple of 32 are in one page. */
		from = sst_buffer_at(call->buffer, call->response_offset);
	ret = sst_answer_read(&answer, from, used, call->id);
	if (ret)
		return ret;
	if (dev->timing && sst_answer_has_timing(used))
		memcpy(&call->timing, call->in + sizeof(struct SSTResponse),
		       sizeof(call->timing));
	call->used = min(used, call->response_bytes);
	call->status = answer.status;
	call->result = answer.result;
	return 0;
}
