// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: queues of open files
 */

/**
 * DOC: making and ending queues
 *
 * A queue is made, used and ended under file->lock. Who ends a queue stops its
 * ring, gives the ring back (from then on no interrupt handler knows the
 * queue), and only then frees its memory. Queues that end together have one
 * time together to finish what they are at.
 */

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "mock_accel_hw.h"
#include "mock_accel_queue.h"
#include "mock_accel_ring.h"

/* How long queues that end may finish what they do; arbitrary. */
#define MOCK_ACCEL_DRAIN_MS 200

/**
 * mock_accel_find_queue() - a queue by its handle
 * @file: the file
 * @handle: from user space
 *
 * Context: holds @file->lock.
 * Return: the queue or NULL.
 */
struct mock_accel_queue *mock_accel_find_queue(struct mock_accel_file *file,
					       u32 handle)
{
	u32 index = handle - 1;

	lockdep_assert_held(&file->lock);
	if (index >= MOCK_ACCEL_MAX_QUEUES)
		return NULL;
	index = array_index_nospec(index, MOCK_ACCEL_MAX_QUEUES);
	return file->queues[index];
}

/**
 * mock_accel_file_has_completions() - are there completions not consumed?
 * @file: the file
 * @look_again: set to whether there may be some soon without an interrupt
 *
 * Context: may sleep; takes @file->lock.
 * Return: true if there are, in any queue of the file.
 */
bool mock_accel_file_has_completions(struct mock_accel_file *file,
				     bool *look_again)
{
	const struct mock_accel_progress *progress;
	struct mock_accel_queue *queue;
	bool found = false;
	u32 i;

	*look_again = false;
	mutex_lock(&file->lock);
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES && !found; i++) {
		queue = file->queues[i];
		if (!queue)
			continue;
		mock_accel_queue_scan(queue);
		progress = &queue->progress;
		found = progress->completed != progress->consumed;
		if (!queue->interrupt &&
		    progress->completed != progress->submitted)
			*look_again = true;
	}
	mutex_unlock(&file->lock);
	return found;
}

static void mock_accel_queue_free(struct mock_accel_queue *queue,
				  struct device *dev)
{
	mimic_mem_free(&queue->descriptors, dev);
	mimic_mem_free(&queue->completions, dev);
	kvfree(queue->slots);
	kfree(queue);
}

static int mock_accel_queue_alloc_rings(struct mock_accel_queue *queue,
					struct device *dev)
{
	struct mock_accel_progress *progress = &queue->progress;
	size_t size = progress->entries * sizeof(struct mock_accel_descriptor);
	int ret;

	queue->slots = kvcalloc(progress->entries, sizeof(*queue->slots),
				GFP_KERNEL_ACCOUNT);
	if (!queue->slots)
		return -ENOMEM;
	ret = mimic_mem_alloc(&queue->descriptors, dev, size);
	if (ret)
		return ret;
	size = progress->entries * sizeof(struct mock_accel_completion);
	ret = mimic_mem_alloc(&queue->completions, dev, size);
	if (ret)
		return ret;
	progress->ring = page_address(queue->completions.page);
	return 0;
}

static struct mock_accel_queue *
mock_accel_queue_alloc(struct mock_accel_file *file, struct device *dev,
		       const struct mock_accel_queue_create *create)
{
	struct mock_accel_queue *queue;
	int ret;

	queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue)
		return ERR_PTR(-ENOMEM);
	queue->file = file;
	queue->progress.entries = create->entries;
	queue->progress.order = ilog2(create->entries);
	queue->interrupt = !(create->flags & MOCK_ACCEL_QUEUE_NO_INTERRUPT);
	ret = mock_accel_queue_alloc_rings(queue, dev);
	if (ret) {
		mock_accel_queue_free(queue, dev);
		return ERR_PTR(ret);
	}
	return queue;
}

static int mock_accel_queue_add(struct mock_accel_file *file,
				struct mock_accel_function *func,
				struct mock_accel_queue_create *create)
{
	struct mock_accel_queue *queue;
	u32 i;

	lockdep_assert_held(&file->lock);
	if (!func->ring_count)
		return -EOPNOTSUPP;
	if (!is_power_of_2(create->entries) || create->entries < 2 ||
	    create->entries > func->max_entries)
		return -EINVAL;
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES && file->queues[i]; i++)
		;
	if (i == MOCK_ACCEL_MAX_QUEUES)
		return -ENOSPC;
	queue = mock_accel_queue_alloc(file, &func->pdev->dev, create);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	if (!mock_accel_ring_claim(func, queue)) {
		mock_accel_queue_free(queue, &func->pdev->dev);
		return -EBUSY;
	}
	queue->interrupt &= queue->ring->has_irq;
	file->queues[i] = queue;
	create->queue = i + 1;
	create->ring = queue->ring->index;
	return 0;
}

/**
 * mock_accel_queue_create() - MOCK_ACCEL_IOC_QUEUE_CREATE
 * @context: the open file
 * @argument: struct mock_accel_queue_create
 *
 * Return: 0 or a negative errno, see README.md.
 */
int mock_accel_queue_create(void *context, void *argument)
{
	struct mock_accel_queue_create *create = argument;
	struct mock_accel_file *file = context;
	struct mock_accel_node *node = mock_accel_node_of(file);
	struct mock_accel_function *func;
	int ret;

	if (create->flags & ~MOCK_ACCEL_QUEUE_NO_INTERRUPT)
		return -EINVAL;
	func = mock_accel_get_function(node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	mutex_lock(&file->lock);
	ret = mock_accel_queue_add(file, func, create);
	mutex_unlock(&file->lock);
	mock_accel_put_function(node);
	if (ret)
		return ret;
	create->completions_bytes =
		create->entries * sizeof(struct mock_accel_completion);
	create->completions_mmap_offset = MOCK_ACCEL_MMAP_QUEUE(create->queue);
	return 0;
}

/* Is the ring at work, and is there somebody who could finish it? */
static bool mock_accel_queue_is_busy(struct mock_accel_queue *queue)
{
	struct mock_accel_function *func;

	if (!queue || !queue->progress.running)
		return false;
	func = queue->ring->func;
	if (READ_ONCE(func->blocked))
		return false;
	mock_accel_queue_scan(queue);
	return queue->progress.completed != queue->progress.submitted &&
	       mock_accel_is_present(func);
}

/*
 * Lets rings finish what they are at, if the device is there and is quick. All
 * of them have the same time: nobody waits longer for more queues.
 */
static void mock_accel_queues_drain(struct mock_accel_queue **queues, u32 count)
{
	const unsigned long end =
		jiffies + msecs_to_jiffies(MOCK_ACCEL_DRAIN_MS);
	bool busy = true;
	u32 i;

	while (busy && !time_after(jiffies, end)) {
		busy = false;
		for (i = 0; i < count && !busy; i++)
			busy = mock_accel_queue_is_busy(queues[i]);
		if (busy)
			usleep_range(50, 200);
	}
}

/* Takes the queue from its function and completes what is in flight. */
static void mock_accel_queue_end(struct mock_accel_queue *queue)
{
	mock_accel_queue_stop(queue, MOCK_ACCEL_STOP_AND_READ);
	/* Also tells those who wait for the queue. */
	mock_accel_queue_abort(queue);
	mock_accel_ring_release(queue);
}

/**
 * mock_accel_queue_destroy() - MOCK_ACCEL_IOC_QUEUE_DESTROY
 * @context: the open file
 * @argument: struct mock_accel_destroy
 *
 * Return: 0 or a negative errno, see README.md.
 */
int mock_accel_queue_destroy(void *context, void *argument)
{
	const struct mock_accel_destroy *destroy = argument;
	struct mock_accel_file *file = context;
	struct mock_accel_node *node = mock_accel_node_of(file);
	struct mock_accel_function *func;
	struct mock_accel_queue *queue;
	int ret = -EINVAL;

	if (destroy->flags || destroy->reserved)
		return -EINVAL;
	func = mock_accel_get_function(node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	mutex_lock(&file->lock);
	queue = mock_accel_find_queue(file, destroy->handle);
	if (queue) {
		file->queues[destroy->handle - 1] = NULL;
		mock_accel_queues_drain(&queue, 1);
		mock_accel_queue_end(queue);
		mock_accel_queue_free(queue, &func->pdev->dev);
		ret = 0;
	}
	mutex_unlock(&file->lock);
	mock_accel_put_function(node);
	return ret;
}

/**
 * mock_accel_file_free_queues() - end all queues of a file
 * @file: the file
 * @func: the function; NULL if it is gone: then the queues were stopped and
 *	have no ring
 *
 * Context: may sleep; holds node->access for reading and @file->lock; a reset
 * or a suspend may have blocked the function.
 */
void mock_accel_file_free_queues(struct mock_accel_file *file,
				 struct mock_accel_function *func)
{
	struct mock_accel_queue *queue;
	u32 i;

	lockdep_assert_held(&file->lock);
	mock_accel_queues_drain(file->queues, MOCK_ACCEL_MAX_QUEUES);
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES; i++) {
		queue = file->queues[i];
		if (!queue)
			continue;
		file->queues[i] = NULL;
		mock_accel_queue_end(queue);
		mock_accel_queue_free(queue, func ? &func->pdev->dev : NULL);
	}
}

static void mock_accel_file_stop(struct mock_accel_file *file,
				 enum mock_accel_stop how)
{
	u32 i;

	lockdep_assert_held(&file->lock);
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES; i++) {
		if (!file->queues[i])
			continue;
		mock_accel_queue_stop(file->queues[i], how);
		mock_accel_queue_abort(file->queues[i]);
	}
}

/**
 * mock_accel_files_stop() - stop all rings of all open files
 * @node: the node
 * @how: whether the device may be read
 *
 * What is in flight is aborted. The queues start again when they are used.
 *
 * Context: holds @node->base.access for writing; the function is there.
 */
void mock_accel_files_stop(struct mock_accel_node *node,
			   enum mock_accel_stop how)
{
	struct mock_accel_file *file;

	list_for_each_entry(file, &node->base.files, base.link) {
		mutex_lock(&file->lock);
		mock_accel_file_stop(file, how);
		mutex_unlock(&file->lock);
	}
}

/**
 * mock_accel_file_disconnect_queues() - take a file's queues from the function
 * @file: the file
 * @dev: the function's device, which is about to go
 *
 * Rings are stopped and given back, pages taken from the device.
 *
 * Context: holds node->access for writing and @file->lock.
 */
void mock_accel_file_disconnect_queues(struct mock_accel_file *file,
				       struct device *dev)
{
	struct mock_accel_queue *queue;
	u32 i;

	mock_accel_file_stop(file, MOCK_ACCEL_STOP_AND_READ);
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES; i++) {
		queue = file->queues[i];
		if (!queue)
			continue;
		mock_accel_ring_release(queue);
		mimic_mem_unmap(&queue->descriptors, dev);
		mimic_mem_unmap(&queue->completions, dev);
	}
}
