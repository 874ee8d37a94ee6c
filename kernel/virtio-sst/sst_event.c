// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: events of the device
 */

/**
 * DOC: events
 *
 * The device has SST_EVENT_BUFFERS small buffers to write events into. Each
 * event goes to all open files that have subscribed; each has a ring of its
 * own, in which new events replace the oldest. Nobody who does not read keeps
 * others from hearing.
 */

#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "sst_compat.h"
#include "sst_event.h"

/**
 * sst_events_init() - prepare the event queue of a device
 * @dev: with its features
 *
 * Return: 0 or -ENOMEM.
 */
int sst_events_init(struct sst_device *dev)
{
	spin_lock_init(&dev->events.lock);
	INIT_LIST_HEAD(&dev->events.subscribers);
	if (!(dev->features & BIT_ULL(SST_F_EVENTS)))
		return 0;
	dev->events.buffers = kcalloc(SST_EVENT_BUFFERS,
				      sizeof(*dev->events.buffers), GFP_KERNEL);
	return dev->events.buffers ? 0 : -ENOMEM;
}

void sst_events_free(struct sst_device *dev)
{
	kfree(dev->events.buffers);
}

/* Gives a buffer to the device; the lock is held. */
static void sst_events_add(struct sst_event_queue *events,
			   struct SSTEvent *buffer)
{
	struct scatterlist sg;

	sg_init_one(&sg, buffer, sizeof(*buffer));
	/* A queue without room for one has others. */
	virtqueue_add_inbuf(events->vq, &sg, 1, buffer, GFP_ATOMIC);
}

/**
 * sst_events_start() - give all buffers to the device
 * @dev: stopped; without the feature nothing happens
 * @vq: its event queue
 */
void sst_events_start(struct sst_device *dev, struct virtqueue *vq)
{
	struct sst_event_queue *events = &dev->events;
	unsigned long flags;
	u32 i;

	if (!events->buffers)
		return;
	spin_lock_irqsave(&events->lock, flags);
	events->vq = vq;
	for (i = 0; i < SST_EVENT_BUFFERS && vq->num_free; i++)
		sst_events_add(events, &events->buffers[i]);
	if (dev->lock_step)
		virtqueue_disable_cb(vq);
	spin_unlock_irqrestore(&events->lock, flags);
}

/**
 * sst_events_kick() - tell the device of the buffers
 * @dev: started, and DRIVER_OK
 */
void sst_events_kick(struct sst_device *dev)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->events.lock, flags);
	if (dev->events.vq)
		virtqueue_kick(dev->events.vq);
	spin_unlock_irqrestore(&dev->events.lock, flags);
}

/**
 * sst_events_stop() - take all buffers back
 * @dev: was reset
 */
void sst_events_stop(struct sst_device *dev)
{
	struct sst_event_queue *events = &dev->events;
	unsigned long flags;

	spin_lock_irqsave(&events->lock, flags);
	if (events->vq)
		while (virtqueue_detach_unused_buf(events->vq))
			;
	events->vq = NULL;
	spin_unlock_irqrestore(&events->lock, flags);
}

/* Tells all subscribers; the lock is held. */
static void sst_events_tell(struct sst_event_queue *events,
			    const struct SSTEvent *event)
{
	struct sst_file *file;

	events->events++;
	list_for_each_entry(file, &events->subscribers, subscription) {
		sst_ring_put(&file->events, event);
		wake_up_all(&file->waitq);
	}
}

/* Takes all events that came; the lock is held. */
static void sst_events_take_used(struct sst_device *dev)
{
	struct sst_event_queue *events = &dev->events;
	struct SSTEvent *buffer;
	bool any = false;
	u32 used;

	while ((buffer = virtqueue_get_buf(events->vq, &used))) {
		dev_dbg(&dev->base.dev, "event: type=%u, data=%llx, bytes=%u\n",
			buffer->type, buffer->data, used);
		if (used >= sizeof(*buffer))
			sst_events_tell(events, buffer);
		sst_events_add(events, buffer);
		any = true;
	}
	if (any)
		virtqueue_kick(events->vq);
}

/**
 * sst_events_collect() - take events where no interrupt says that they came
 * @dev: the device
 */
void sst_events_collect(struct sst_device *dev)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->events.lock, flags);
	if (dev->events.vq)
		sst_events_take_used(dev);
	spin_unlock_irqrestore(&dev->events.lock, flags);
}

/**
 * sst_events_interrupt() - the device says that it has written events
 * @vq: the event queue
 *
 * Context: interrupt.
 */
void sst_events_interrupt(struct virtqueue *vq)
{
	struct sst_device *dev = vq->vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&dev->events.lock, flags);
	if (dev->events.vq) {
		do {
			virtqueue_disable_cb(vq);
			sst_events_take_used(dev);
		} while (!virtqueue_enable_cb(vq));
	}
	spin_unlock_irqrestore(&dev->events.lock, flags);
}

/**
 * sst_events_subscribe() - from now on a file hears of events
 * @file: open; nothing happens if it is a subscriber already
 */
void sst_events_subscribe(struct sst_file *file)
{
	struct sst_event_queue *events = &file->dev->events;
	unsigned long flags;

	spin_lock_irqsave(&events->lock, flags);
	if (list_empty(&file->subscription)) {
		memset(&file->events, 0, sizeof(file->events));
		list_add_tail(&file->subscription, &events->subscribers);
	}
	spin_unlock_irqrestore(&events->lock, flags);
}

/**
 * sst_events_unsubscribe() - a file does not want to hear any more
 * @file: open or being closed; what it has not read is gone
 */
void sst_events_unsubscribe(struct sst_file *file)
{
	struct sst_event_queue *events = &file->dev->events;
	unsigned long flags;

	spin_lock_irqsave(&events->lock, flags);
	list_del_init(&file->subscription);
	file->events.read = file->events.written;
	spin_unlock_irqrestore(&events->lock, flags);
}

/**
 * sst_events_take() - take the oldest event of a file
 * @file: open
 * @event: where to
 *
 * Return: false if there is none.
 */
bool sst_events_take(struct sst_file *file, struct SSTEvent *event)
{
	struct sst_event_queue *events = &file->dev->events;
	unsigned long flags;
	bool any;

	spin_lock_irqsave(&events->lock, flags);
	any = sst_ring_take(&file->events, event);
	spin_unlock_irqrestore(&events->lock, flags);
	return any;
}
