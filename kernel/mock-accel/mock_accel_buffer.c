// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: buffers of open files
 */

/**
 * DOC: buffers
 *
 * A buffer is pages that operations of its file may name; mimic_mem.c says how
 * long its pages live. It is held by the operations in flight that name it.
 */

#include <linux/nospec.h>
#include <linux/slab.h>

#include "mock_accel_buffer.h"
#include "mock_accel_hw.h"
#include "mock_accel_ring.h"

/**
 * mock_accel_find_buffer() - a buffer by its handle
 * @file: the file
 * @handle: from user space
 *
 * Context: holds @file->lock.
 * Return: the buffer or NULL.
 */
struct mock_accel_buffer *mock_accel_find_buffer(struct mock_accel_file *file,
						 u32 handle)
{
	u32 index = handle - 1;

	lockdep_assert_held(&file->lock);
	if (index >= MOCK_ACCEL_MAX_BUFFERS)
		return NULL;
	index = array_index_nospec(index, MOCK_ACCEL_MAX_BUFFERS);
	return file->buffers[index];
}

/* Makes a buffer and puts it into a free place of the file. */
static int mock_accel_buffer_add(struct mock_accel_file *file,
				 struct device *dev, u32 bytes, u32 *handle)
{
	struct mock_accel_buffer *buffer;
	u32 i;
	int ret;

	lockdep_assert_held(&file->lock);
	for (i = 0; i < MOCK_ACCEL_MAX_BUFFERS && file->buffers[i]; i++)
		;
	if (i == MOCK_ACCEL_MAX_BUFFERS)
		return -ENOSPC;
	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return -ENOMEM;
	ret = mimic_mem_alloc(&buffer->mem, dev, bytes);
	if (!ret &&
	    buffer->mem.size > MOCK_ACCEL_MAX_FILE_BYTES - file->buffer_bytes) {
		mimic_mem_free(&buffer->mem, dev);
		ret = -ENOSPC;
	}
	if (ret) {
		kfree(buffer);
		return ret;
	}
	file->buffer_bytes += buffer->mem.size;
	file->buffers[i] = buffer;
	*handle = i + 1;
	return 0;
}

static void mock_accel_buffer_delete(struct mock_accel_file *file, u32 handle,
				     struct device *dev)
{
	struct mock_accel_buffer *buffer = file->buffers[handle - 1];

	lockdep_assert_held(&file->lock);
	file->buffers[handle - 1] = NULL;
	file->buffer_bytes -= buffer->mem.size;
	mimic_mem_free(&buffer->mem, dev);
	kfree(buffer);
}

/**
 * mock_accel_buffer_create() - MOCK_ACCEL_IOC_BUFFER_CREATE
 * @context: the open file
 * @argument: struct mock_accel_buffer_create
 *
 * Return: 0 or a negative errno, see README.md.
 */
int mock_accel_buffer_create(void *context, void *argument)
{
	struct mock_accel_buffer_create *create = argument;
	struct mock_accel_file *file = context;
	struct mock_accel_node *node = mock_accel_node_of(file);
	struct mock_accel_function *func;
	int ret;

	if (create->flags || !create->bytes ||
	    create->bytes > MOCK_ACCEL_MAX_BUFFER_BYTES)
		return -EINVAL;

	func = mock_accel_get_function(node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	mutex_lock(&file->lock);
	ret = mock_accel_buffer_add(file, &func->pdev->dev, create->bytes,
				    &create->buffer);
	if (!ret)
		create->bytes = file->buffers[create->buffer - 1]->mem.size;
	mutex_unlock(&file->lock);
	mock_accel_put_function(node);
	/* Whoever loses the handle gets the buffer back by closing the file. */
	create->mmap_offset = MOCK_ACCEL_MMAP_BUFFER(create->buffer);
	return ret;
}

/**
 * mock_accel_buffer_destroy() - MOCK_ACCEL_IOC_BUFFER_DESTROY
 * @context: the open file
 * @argument: struct mock_accel_destroy
 *
 * Return: 0 or a negative errno, see README.md.
 */
int mock_accel_buffer_destroy(void *context, void *argument)
{
	const struct mock_accel_destroy *destroy = argument;
	struct mock_accel_file *file = context;
	struct mock_accel_node *node = mock_accel_node_of(file);
	struct mock_accel_function *func;
	struct mock_accel_buffer *buffer;
	int ret = 0;
	u32 i;

	if (destroy->flags || destroy->reserved)
		return -EINVAL;
	func = mock_accel_get_function(node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	mutex_lock(&file->lock);
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES; i++)
		if (file->queues[i])
			mock_accel_queue_scan(file->queues[i]);
	buffer = mock_accel_find_buffer(file, destroy->handle);
	if (!buffer)
		ret = -EINVAL;
	else if (buffer->in_flight)
		ret = -EBUSY;
	else
		mock_accel_buffer_delete(file, destroy->handle,
					 &func->pdev->dev);
	mutex_unlock(&file->lock);
	mock_accel_put_function(node);
	return ret;
}

/**
 * mock_accel_file_free_buffers() - free all buffers of a file
 * @file: a file without queues
 * @dev: the function's device, NULL if it went away
 *
 * Context: holds @file->lock.
 */
void mock_accel_file_free_buffers(struct mock_accel_file *file,
				  struct device *dev)
{
	u32 i;

	for (i = 0; i < MOCK_ACCEL_MAX_BUFFERS; i++)
		if (file->buffers[i])
			mock_accel_buffer_delete(file, i + 1, dev);
}

/**
 * mock_accel_file_disconnect_buffers() - take a file's buffers from the device
 * @file: the file, whose queues were disconnected
 * @dev: the function's device
 *
 * Context: holds @file->lock.
 */
void mock_accel_file_disconnect_buffers(struct mock_accel_file *file,
					struct device *dev)
{
	u32 i;

	for (i = 0; i < MOCK_ACCEL_MAX_BUFFERS; i++)
		if (file->buffers[i])
			mimic_mem_unmap(&file->buffers[i]->mem, dev);
}
