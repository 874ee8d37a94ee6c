// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: one request and its answer
 */

#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vgpu_call.h"

static struct kmem_cache *vgpu_call_cache;

/**
 * vgpu_calls_init() - prepare for calls
 *
 * Context: module load.
 * Return: 0 or -ENOMEM.
 */
int vgpu_calls_init(void)
{
	vgpu_call_cache = KMEM_CACHE(vgpu_call, SLAB_ACCOUNT);
	return vgpu_call_cache ? 0 : -ENOMEM;
}

/**
 * vgpu_calls_exit() - undo vgpu_calls_init()
 *
 * Context: there are no calls.
 */
void vgpu_calls_exit(void)
{
	kmem_cache_destroy(vgpu_call_cache);
}

static struct vgpu_file *vgpu_call_file(const struct vgpu_call *call)
{
	return container_of(call->entry.ledger, struct vgpu_file, ledger);
}

/**
 * vgpu_call_new() - make a call with one reference
 * @file: open
 *
 * Context: may sleep.
 * Return: a call without a request, or NULL.
 */
struct vgpu_call *vgpu_call_new(struct vgpu_file *file)
{
	struct vgpu_call *call =
		kmem_cache_zalloc(vgpu_call_cache, GFP_KERNEL);

	if (!call)
		return NULL;
	INIT_LIST_HEAD(&call->link);
	mimic_entry_init(&call->entry, &file->ledger);
	call->entry.id = atomic64_inc_return(&file->next_cookie);
	return call;
}

/**
 * vgpu_call_free() - of a ledger: nobody has the call any more
 * @entry: of the call; it is not mapped
 *
 * Context: any; its file's memory is still there.
 */
void vgpu_call_free(struct mimic_entry *entry)
{
	struct vgpu_call *call = to_vgpu_call(entry);

	vgpu_buffer_put(call->buffer);
	atomic64_sub((u64)call->out.bytes + call->in.bytes,
		     &vgpu_call_file(call)->copied_bytes);
	vgpu_memory_free(&call->out);
	vgpu_memory_free(&call->in);
	kmem_cache_free(vgpu_call_cache, call);
}

/* Asks for memory of both directions. */
static int vgpu_call_alloc(struct vgpu_call *call, struct vgpu_file *file)
{
	const int node = dev_to_node(&file->dev->base.dev);
	const u64 bytes = (u64)call->request_bytes + call->response_bytes;
	int ret;

	if (atomic64_add_return(bytes, &file->copied_bytes) >
	    VGPU_MAX_FILE_BYTES) {
		atomic64_sub(bytes, &file->copied_bytes);
		return -EAGAIN;
	}
	/* From here on vgpu_call_free() gives it back. */
	call->in.bytes = call->response_bytes;
	ret = vgpu_memory_alloc(&call->out, node, call->request_bytes,
				DMA_TO_DEVICE);
	if (ret)
		return ret;
	return vgpu_memory_alloc(&call->in, node, call->response_bytes,
				 DMA_FROM_DEVICE);
}

/**
 * vgpu_call_copy() - take a request from user space
 * @call: new, with the sizes of request and response
 * @file: whose
 * @request: address
 *
 * Return: 0, -EAGAIN (the file has as much as it may), -ENOMEM or -EFAULT.
 */
int vgpu_call_copy(struct vgpu_call *call, struct vgpu_file *file,
		   const void __user *request)
{
	int ret = vgpu_call_alloc(call, file);

	if (ret)
		return ret;
	return copy_from_user(call->out.data, request, call->request_bytes) ?
		       -EFAULT :
		       0;
}

/* Whether a part lies in a buffer, at a multiple of 8. */
static bool vgpu_call_is_inside(const struct vgpu_buffer *buffer, u64 offset,
				u32 bytes)
{
	const u64 size = vgpu_buffer_size(buffer);

	return offset % 8 == 0 && offset <= size && bytes <= size - offset;
}

/**
 * vgpu_call_in_buffer() - take a request that is in a buffer
 * @call: new, with the sizes of request and response
 * @file: whose buffer
 * @from: where it is
 *
 * Return: 0 or -EINVAL.
 */
int vgpu_call_in_buffer(struct vgpu_call *call, struct vgpu_file *file,
			const struct vgpu_submit *from)
{
	/* Put with the call. */
	call->buffer = vgpu_buffer_get(file, from->buffer);
	if (!call->buffer ||
	    !vgpu_call_is_inside(call->buffer, from->request,
				 from->request_bytes) ||
	    !vgpu_call_is_inside(call->buffer, from->response,
				 from->response_bytes))
		return -EINVAL;
	call->request_offset = from->request;
	call->response_offset = from->response;
	return 0;
}

/**
 * vgpu_call_to_user() - give the response to user space
 * @call: settled without an error; the caller has it
 * @response: address, with room for it
 *
 * Return: 0 or -EFAULT.
 */
int vgpu_call_to_user(const struct vgpu_call *call, void __user *response)
{
	if (!call->used)
		return 0;
	return copy_to_user(response, vgpu_call_response(call), call->used) ?
		       -EFAULT :
		       0;
}

/**
 * vgpu_call_map() - let the device reach a call's memory
 * @call: with a request
 * @dev: not gone; the caller keeps it so
 *
 * Return: 0; -ENOMEM; -ENODEV if a buffer was taken from the device.
 */
int vgpu_call_map(struct vgpu_call *call, struct vgpu_device *dev)
{
	int ret;

	if (!vgpu_device_has_dma(dev))
		return 0;
	if (call->buffer)
		return READ_ONCE(call->buffer->mapped) ? 0 : -ENODEV;
	ret = vgpu_memory_map(&call->out, &dev->pdev->dev);
	if (ret)
		return ret;
	ret = vgpu_memory_map(&call->in, &dev->pdev->dev);
	if (ret)
		vgpu_memory_unmap(&call->out, &dev->pdev->dev);
	return ret;
}

/**
 * vgpu_call_unmap() - take a call's memory from the device
 * @call: which the device does not have
 * @dev: whose @pdev is still there
 *
 * Context: any.
 */
void vgpu_call_unmap(struct vgpu_call *call, struct vgpu_device *dev)
{
	vgpu_memory_unmap(&call->out, &dev->pdev->dev);
	vgpu_memory_unmap(&call->in, &dev->pdev->dev);
}
