// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: queues of open files
 */

/**
 * DOC: making, ending and waiting for queues
 *
 * A queue is made, used and ended under file->lock. Who ends a queue stops its
 * ring, gives the ring back (from then on no interrupt handler knows the
 * queue), and only then frees its memory.
 *
 * A wait holds no lock while it sleeps. It sleeps on the file, not on the
 * queue, so that the queue may be destroyed meanwhile, and for a slice of time
 * only: completions are found in memory, and interrupts, which may be lost or
 * may not exist, only shorten the sleep.
 */

#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mock_accel_queue.h"

/* How long to wait for an interrupt before looking at the ring; arbitrary. */
#define MOCK_ACCEL_SLICE_NS (100 * NSEC_PER_MSEC)
/* The same where there is no interrupt. */
#define MOCK_ACCEL_POLL_NS (50 * NSEC_PER_USEC)
/* How long a queue that is destroyed may finish what it does; arbitrary. */
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
	lockdep_assert_held(&file->lock);
	if (!handle || handle > MOCK_ACCEL_MAX_QUEUES)
		return NULL;
	return file
		->queues[array_index_nospec(handle - 1, MOCK_ACCEL_MAX_QUEUES)];
}

/**
 * mock_accel_queue_set_consumed() - note what user space has read
 * @queue: the queue
 * @consumed: from user space
 *
 * A number that is behind the one we know comes from a slow thread.
 *
 * Context: holds @queue->file->lock.
 * Return: 0, or -EINVAL if that many are not complete.
 */
int mock_accel_queue_set_consumed(struct mock_accel_queue *queue, u32 consumed)
{
	lockdep_assert_held(&queue->file->lock);
	if ((s32)(consumed - queue->completed) > 0)
		return -EINVAL;
	if ((s32)(consumed - queue->consumed) > 0)
		queue->consumed = consumed;
	return 0;
}

/**
 * mock_accel_file_has_completions() - are there completions not consumed?
 * @file: the file
 *
 * Context: may sleep; takes @file->lock.
 * Return: true if there are, in any queue of the file.
 */
bool mock_accel_file_has_completions(struct mock_accel_file *file)
{
	struct mock_accel_queue *queue;
	bool found = false;
	u32 i;

	mutex_lock(&file->lock);
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES && !found; i++) {
		queue = file->queues[i];
		if (!queue)
			continue;
		mock_accel_queue_scan(queue);
		found = queue->completed != queue->consumed;
	}
	mutex_unlock(&file->lock);
	return found;
}

static void mock_accel_queue_free(struct mock_accel_queue *queue,
				  struct device *dev)
{
	mock_accel_mem_free(&queue->descriptors, dev);
	mock_accel_mem_free(&queue->completions, dev);
	kvfree(queue->slots);
	kfree(queue);
}

static struct mock_accel_queue *
mock_accel_queue_alloc(struct mock_accel_file *file, struct device *dev,
		       const struct mock_accel_queue_create *create)
{
	struct mock_accel_queue *queue;
	int ret = -ENOMEM;

	queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue)
		return ERR_PTR(-ENOMEM);
	queue->file = file;
	queue->entries = create->entries;
	queue->order = ilog2(create->entries);
	queue->interrupt = !(create->flags & MOCK_ACCEL_QUEUE_NO_INTERRUPT);
	queue->slots = kvcalloc(queue->entries, sizeof(*queue->slots),
				GFP_KERNEL_ACCOUNT);
	if (!queue->slots)
		goto err_free;
	ret = mock_accel_mem_alloc(
		&queue->descriptors, dev,
		queue->entries * sizeof(struct mock_accel_descriptor));
	if (ret)
		goto err_free;
	ret = mock_accel_mem_alloc(
		&queue->completions, dev,
		queue->entries * sizeof(struct mock_accel_completion));
	if (ret)
		goto err_free;
	return queue;

err_free:
	mock_accel_queue_free(queue, dev);
	return ERR_PTR(ret);
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
 * mock_accel_queue_create_ioctl() - MOCK_ACCEL_IOC_QUEUE_CREATE
 * @file: the open file
 * @arg: its argument
 *
 * Return: 0 or a negative errno, see README.md.
 */
long mock_accel_queue_create_ioctl(struct mock_accel_file *file,
				   struct mock_accel_queue_create __user *arg)
{
	struct mock_accel_queue_create create;
	struct mock_accel_function *func;
	int ret;

	BUILD_BUG_ON(sizeof(create) != 32);
	BUILD_BUG_ON(sizeof(struct mock_accel_descriptor) != 32);
	BUILD_BUG_ON(sizeof(struct mock_accel_completion) != 16);
	ret = mock_accel_copy_in(&create, arg, sizeof(create));
	if (ret)
		return ret;
	if (create.flags & ~MOCK_ACCEL_QUEUE_NO_INTERRUPT)
		return -EINVAL;
	func = mock_accel_get_function(file->node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	mutex_lock(&file->lock);
	ret = mock_accel_queue_add(file, func, &create);
	mutex_unlock(&file->lock);
	mock_accel_put_function(file->node);
	if (ret)
		return ret;

	create.size = sizeof(create);
	create.completions_bytes =
		create.entries * sizeof(struct mock_accel_completion);
	create.completions_mmap_offset = MOCK_ACCEL_MMAP_QUEUE(create.queue);
	return copy_to_user(arg, &create, sizeof(create)) ? -EFAULT : 0;
}

/* Lets a ring finish what it is at, if the device is there and is quick. */
static void mock_accel_queue_drain(struct mock_accel_queue *queue)
{
	const unsigned long end =
		jiffies + msecs_to_jiffies(MOCK_ACCEL_DRAIN_MS);

	if (!queue->running || queue->ring->func->blocked)
		return;
	for (;;) {
		mock_accel_queue_scan(queue);
		if (queue->completed == queue->submitted ||
		    time_after(jiffies, end) ||
		    !mock_accel_is_present(queue->ring->func))
			return;
		usleep_range(50, 200);
	}
}

/* The function may be gone: then the queue was stopped and has no ring. */
static void mock_accel_queue_delete(struct mock_accel_file *file, u32 handle,
				    struct mock_accel_function *func)
{
	struct mock_accel_queue *queue = file->queues[handle - 1];

	lockdep_assert_held(&file->lock);
	file->queues[handle - 1] = NULL;
	mock_accel_queue_drain(queue);
	mock_accel_queue_stop(queue, MOCK_ACCEL_STOP_AND_READ);
	/* Also tells those who wait for the queue. */
	mock_accel_queue_abort(queue);
	mock_accel_ring_release(queue);
	mock_accel_queue_free(queue, func ? &func->pdev->dev : NULL);
}

/**
 * mock_accel_queue_destroy_ioctl() - MOCK_ACCEL_IOC_QUEUE_DESTROY
 * @file: the open file
 * @arg: its argument
 *
 * Return: 0 or a negative errno, see README.md.
 */
long mock_accel_queue_destroy_ioctl(struct mock_accel_file *file,
				    struct mock_accel_destroy __user *arg)
{
	struct mock_accel_destroy destroy;
	struct mock_accel_function *func;
	int ret;

	BUILD_BUG_ON(sizeof(destroy) != 8);
	ret = mock_accel_copy_in(&destroy, arg, sizeof(destroy));
	if (ret)
		return ret;
	func = mock_accel_get_function(file->node);
	if (IS_ERR(func))
		return PTR_ERR(func);
	mutex_lock(&file->lock);
	if (mock_accel_find_queue(file, destroy.handle))
		mock_accel_queue_delete(file, destroy.handle, func);
	else
		ret = -EINVAL;
	mutex_unlock(&file->lock);
	mock_accel_put_function(file->node);
	return ret;
}

/**
 * mock_accel_file_close_queues() - end all that a file has, as it is closed
 * @file: the file
 *
 * Context: may sleep; holds node->access for reading.
 */
void mock_accel_file_close_queues(struct mock_accel_file *file)
{
	struct mock_accel_function *func = file->node->func;
	u32 i;

	mutex_lock(&file->lock);
	for (i = 0; i < MOCK_ACCEL_MAX_QUEUES; i++)
		if (file->queues[i])
			mock_accel_queue_delete(file, i + 1, func);
	mock_accel_file_free_buffers(file, func ? &func->pdev->dev : NULL);
	mutex_unlock(&file->lock);
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
 * Context: holds @node->access for writing; the function is there.
 */
void mock_accel_files_stop(struct mock_accel_node *node,
			   enum mock_accel_stop how)
{
	struct mock_accel_file *file;

	list_for_each_entry(file, &node->files, link) {
		mutex_lock(&file->lock);
		mock_accel_file_stop(file, how);
		mutex_unlock(&file->lock);
	}
}

/**
 * mock_accel_files_disconnect() - take all open files from the function
 * @node: the node, whose function is about to go
 *
 * Rings are stopped and given back, pages taken from the device; mappings of
 * device memory end; faults wait until the function is gone and find nothing.
 *
 * Context: holds @node->access for writing; the function is there.
 */
void mock_accel_files_disconnect(struct mock_accel_node *node)
{
	struct device *dev = &node->func->pdev->dev;
	struct mock_accel_queue *queue;
	struct mock_accel_file *file;
	u32 i;

	list_for_each_entry(file, &node->files, link) {
		mutex_lock(&file->lock);
		mock_accel_file_stop(file, MOCK_ACCEL_STOP_AND_READ);
		for (i = 0; i < MOCK_ACCEL_MAX_QUEUES; i++) {
			queue = file->queues[i];
			if (!queue)
				continue;
			mock_accel_ring_release(queue);
			mock_accel_mem_unmap(&queue->descriptors, dev);
			mock_accel_mem_unmap(&queue->completions, dev);
		}
		for (i = 0; i < MOCK_ACCEL_MAX_BUFFERS; i++)
			if (file->buffers[i])
				mock_accel_mem_unmap(&file->buffers[i]->mem,
						     dev);
		mutex_unlock(&file->lock);
		/* No new ones come: faults wait for us, then see no function. */
		if (node->func->memory_bytes)
			unmap_mapping_range(file->mapping,
					    MOCK_ACCEL_MMAP_MEMORY,
					    node->func->memory_bytes, 1);
	}
}

/* One look at a queue for WAIT: 0 and the numbers, or a negative errno. */
static int mock_accel_wait_look(struct mock_accel_file *file,
				struct mock_accel_wait_queue *wait,
				bool *interrupt)
{
	struct mock_accel_queue *queue;
	int ret = -EINVAL;

	mutex_lock(&file->lock);
	queue = mock_accel_find_queue(file, wait->queue);
	if (queue) {
		mock_accel_queue_scan(queue);
		ret = mock_accel_queue_set_consumed(queue, wait->consumed);
		wait->completed = queue->completed;
		wait->origin = queue->origin;
		*interrupt = queue->interrupt;
	}
	mutex_unlock(&file->lock);
	return ret;
}

/* After a long silence: is the ring, is the device still alive? */
static int mock_accel_wait_check(struct mock_accel_file *file, u32 handle)
{
	struct mock_accel_function *func;
	struct mock_accel_queue *queue;
	int ret = 0;

	func = mock_accel_get_function(file->node);
	if (IS_ERR(func))
		return PTR_ERR(func) == -EAGAIN ? 0 : PTR_ERR(func);
	mutex_lock(&file->lock);
	queue = mock_accel_find_queue(file, handle);
	if (queue)
		ret = mock_accel_queue_check(queue);
	mutex_unlock(&file->lock);
	mock_accel_put_function(file->node);
	return ret;
}

static int mock_accel_wait_queue_done(struct mock_accel_file *file,
				      struct mock_accel_wait_queue *wait)
{
	const ktime_t start = ktime_get();
	const ktime_t end = wait->timeout_ms < 0 ?
				    KTIME_MAX :
				    ktime_add_ms(start, wait->timeout_ms);
	struct mock_accel_node *node = file->node;
	ktime_t now = start, checked = start, slice;
	bool interrupt;
	int seen, ret;

	for (;;) {
		seen = atomic_read(&file->events);
		if (READ_ONCE(node->gone))
			return -ENODEV;
		ret = mock_accel_wait_look(file, wait, &interrupt);
		if (ret)
			return ret;
		if (wait->completed - wait->consumed >= wait->count)
			return 0;
		now = ktime_get();
		if (ktime_sub(now, checked) >= MOCK_ACCEL_SLICE_NS ||
		    ktime_compare(now, end) >= 0) {
			ret = mock_accel_wait_check(file, wait->queue);
			if (ret)
				return ret;
			checked = now;
		}
		if (ktime_compare(now, end) >= 0)
			return -ETIMEDOUT;
		slice = interrupt ? MOCK_ACCEL_SLICE_NS : MOCK_ACCEL_POLL_NS;
		slice = min(slice, ktime_sub(end, now));
		ret = wait_event_interruptible_hrtimeout(
			file->waitq,
			atomic_read(&file->events) != seen ||
				READ_ONCE(node->gone),
			slice);
		if (ret == -ERESTARTSYS)
			return ret;
	}
}

/**
 * mock_accel_wait_ioctl() - MOCK_ACCEL_IOC_WAIT
 * @file: the open file
 * @arg: its argument
 *
 * Return: 0 or a negative errno, see README.md.
 */
long mock_accel_wait_ioctl(struct mock_accel_file *file,
			   struct mock_accel_wait_queue __user *arg)
{
	struct mock_accel_wait_queue wait;
	int ret;

	BUILD_BUG_ON(sizeof(wait) != 32);
	ret = mock_accel_copy_in(&wait, arg, sizeof(wait));
	if (ret)
		return ret;
	if (wait.reserved || wait.timeout_ms < -1)
		return -EINVAL;
	ret = mock_accel_wait_queue_done(file, &wait);
	if (ret)
		return ret;
	wait.size = sizeof(wait);
	return copy_to_user(arg, &wait, sizeof(wait)) ? -EFAULT : 0;
}
