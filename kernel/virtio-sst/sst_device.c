// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: start and stop of a device
 */

/**
 * DOC: running and not
 *
 * A device runs from probe to removal, but for the time of a suspend or a
 * reset. Whoever gives calls to a queue holds the node's @access for reading
 * and looks at @running; who starts or stops holds it for writing. Starting and
 * stopping happens in probe, remove, freeze, restore and recover; the virtio
 * core or the device lock keep these apart.
 *
 * What is in flight at a stop ends with -ENODEV (removal) or -ECANCELED
 * (suspend, reset). It is not sent again: the reset has emptied the device's
 * memory and taken its parameters back, so the answer would be one to another
 * question. A request that was not sent yet waits, or is -EAGAIN without.
 */

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "sst_compat.h"
#include "sst_device.h"
#include "sst_event.h"
#include "sst_queue.h"

static unsigned int queue_pairs;
module_param(queue_pairs, uint, 0444);
MODULE_PARM_DESC(queue_pairs, "queue pairs to use at most (0: as many as there are CPUs)");

/* How long a suspend waits for what is in flight; arbitrary. */
#define SST_DRAIN_MS 200

/* How often, and how long after another, a restart is tried; arbitrary. */
#define SST_RECOVER_TRIES 10
#define SST_RECOVER_MS 200

static void sst_device_read_config(struct virtio_device *vdev,
				   struct SSTConfig *config)
{
	virtio_cread_bytes(vdev, 0, config, sizeof(*config));
}

/* How many queue pairs to use of those that @config says there are. */
static u32 sst_device_queue_count(struct virtio_device *vdev,
				  const struct SSTConfig *config)
{
	u32 count = 1;

	if (virtio_has_feature(vdev, SST_F_MULTI_QUEUE))
		count = clamp_t(u32, config->max_queues, 1,
				SST_MAX_QUEUE_PAIRS);
	if (queue_pairs)
		count = min_t(u32, count, queue_pairs);
	return min_t(u32, count, num_possible_cpus());
}

/* A device that was pulled out reads all ones, and a reset would not end. */
static bool sst_device_answers(struct virtio_device *vdev)
{
	return vdev->config->get_status(vdev) != 0xff;
}

/* Whether a reason is left: one reset is enough for several. */
static bool sst_device_needs_reset(struct sst_device *dev,
				   struct virtio_device *vdev)
{
	const u8 status = vdev->config->get_status(vdev);
	u32 i;

	/* Stopped, or pulled out. */
	if (!READ_ONCE(dev->running) || !sst_device_answers(vdev))
		return false;
	/* Reset by its bus; before Linux 7 nobody tells of that. */
	if (!(status & VIRTIO_CONFIG_S_DRIVER_OK))
		return true;
	if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return true;
	for (i = 0; i < dev->queue_count; i++)
		if (sst_queue_is_stuck(&dev->queues[i]))
			return true;
	return false;
}

/* Stops and starts a device; 0 or what the virtio core says. */
static int sst_device_restart(struct virtio_device *vdev)
{
#ifdef CONFIG_PM_SLEEP
	int ret = virtio_device_freeze(vdev);

	return ret ? ret : virtio_device_restore(vdev);
#else
	return -EOPNOTSUPP;
#endif
}

/* A device that says so, or has lost all of its room, begins anew. */
static void sst_device_recover(struct work_struct *work)
{
	struct sst_device *dev = container_of(work, struct sst_device, recover);
	/* Removal waits for this work before it lets go of the device. */
	struct virtio_device *vdev = dev->vdev;
	int i;

	if (READ_ONCE(dev->removing) || !sst_device_needs_reset(dev, vdev))
		return;
	dev_warn(&dev->base.dev, "resetting the device; requests in flight are cancelled\n");
	/* Its bus may be resetting it right now; then it is away for a while. */
	for (i = 0; i < SST_RECOVER_TRIES && !READ_ONCE(dev->removing); i++) {
		if (!sst_device_restart(vdev))
			return;
		if (sst_device_answers(vdev))
			sst_reset_device(vdev);
		msleep(SST_RECOVER_MS);
	}
	dev_err(&dev->base.dev, "the device does not start again\n");
	WRITE_ONCE(dev->failed, true);
	wake_up_all(&dev->base.waitq);
}

/**
 * sst_device_new() - make a device that is stopped
 * @vdev: with negotiated features
 *
 * Return: the device; its node is not initialised yet; NULL without memory.
 */
struct sst_device *sst_device_new(struct virtio_device *vdev)
{
	struct SSTConfig config;
	struct sst_device *dev;
	u32 count, i;

	sst_device_read_config(vdev, &config);
	count = sst_device_queue_count(vdev, &config);
	dev = kzalloc(struct_size(dev, queues, count), GFP_KERNEL);
	if (!dev)
		return NULL;
	dev->vdev = vdev;
	dev->config = config;
	for (i = 0; i < SST_F_LOCK_STEP + 1; i++)
		if (virtio_has_feature(vdev, i))
			dev->features |= BIT_ULL(i);
	dev->timing = virtio_has_feature(vdev, SST_F_TIMING);
	dev->lock_step = dev->timing &&
			 virtio_has_feature(vdev, SST_F_LOCK_STEP);
	/* Linux SST's device wants whole requests; so does what follows them. */
	dev->short_requests = vdev->id.device == SST_VIRTIO_ID &&
			      !dev->lock_step;
	INIT_WORK(&dev->recover, sst_device_recover);
	dev->queue_count = count;
	for (i = 0; i < count; i++)
		sst_queue_init(&dev->queues[i], dev, i);
	if (sst_events_init(dev)) {
		kfree(dev);
		return NULL;
	}
	return dev;
}

/**
 * sst_device_free() - nobody has the device any more
 * @dev: stopped
 */
void sst_device_free(struct sst_device *dev)
{
	sst_events_free(dev);
	kfree(dev);
}

/* Interrupts of a pair go to the CPUs that use it. */
static void sst_device_set_affinity(const struct sst_device *dev, u32 index,
				    struct virtqueue *vq)
{
	cpumask_var_t mask;
	u32 cpu;

	if (dev->queue_count == 1 || !zalloc_cpumask_var(&mask, GFP_KERNEL))
		return;
	for_each_online_cpu(cpu)
		if (cpu % dev->queue_count == index)
			cpumask_set_cpu(cpu, mask);
	if (!cpumask_empty(mask))
		virtqueue_set_affinity(vq, mask);
	free_cpumask_var(mask);
}

/* Queue number of the request queue of pair @index. */
static u32 sst_device_request_queue(u32 index)
{
	return index ? 1 + 2 * index : SST_REQUEST_QUEUE;
}

/**
 * sst_device_start() - find the virtqueues and let the device run
 * @dev: stopped
 *
 * Context: may sleep; the node's access is held for writing, or nobody sees the
 * node.
 * Return: 0 or what the virtio core says.
 */
int sst_device_start(struct sst_device *dev)
{
	const u32 count = 1 + 2 * dev->queue_count;
	struct virtqueue *vqs[SST_MAX_VIRTQUEUES];
	sst_queue_info info[SST_MAX_VIRTQUEUES];
	u32 i;
	int ret;

	memset(info, 0, sizeof(info));
	for (i = 0; i < count; i++)
		info[i].name = "response";
	for (i = 0; i < dev->queue_count; i++) {
		info[sst_device_request_queue(i)].name = "request";
		if (!dev->lock_step)
			info[sst_device_request_queue(i)].callback =
				sst_queue_interrupt;
	}
	info[SST_EVENT_QUEUE].name = "event";
	if (!dev->lock_step)
		info[SST_EVENT_QUEUE].callback = sst_events_interrupt;
	ret = sst_find_vqs(dev->vdev, count, vqs, info);
	if (ret)
		return ret;
	for (i = 0; i < dev->queue_count; i++) {
		struct virtqueue *vq = vqs[sst_device_request_queue(i)];

		sst_device_set_affinity(dev, i, vq);
		sst_queue_start(&dev->queues[i], vq);
	}
	sst_events_start(dev, vqs[SST_EVENT_QUEUE]);
	virtio_device_ready(dev->vdev);
	sst_events_kick(dev);
	WRITE_ONCE(dev->running, true);
	/* Those who have waited. */
	wake_up_all(&dev->base.waitq);
	return 0;
}

/**
 * sst_device_stop() - end all use of the device
 * @dev: running or stopped
 * @error: that calls in flight end with
 *
 * Context: may sleep; as sst_device_start().
 */
void sst_device_stop(struct sst_device *dev, int error)
{
	u32 i;

	if (!dev->running)
		return;
	WRITE_ONCE(dev->running, false);
	if (sst_device_answers(dev->vdev))
		sst_reset_device(dev->vdev);
	for (i = 0; i < dev->queue_count; i++)
		sst_queue_stop(&dev->queues[i], error);
	sst_events_stop(dev);
	/* Waits for interrupt handlers, which find no queue any more. */
	dev->vdev->config->del_vqs(dev->vdev);
}

/**
 * sst_device_disconnect() - the device goes away
 * @node: of the device; its files may be open
 *
 * Context: may sleep; the node's access is held for writing.
 */
void sst_device_disconnect(struct mimic_node *node)
{
	struct sst_device *dev = container_of(node, struct sst_device, base);

	sst_device_stop(dev, -ENODEV);
	WRITE_ONCE(dev->vdev, NULL);
}

/**
 * sst_device_config_changed() - configuration or status changed
 * @vdev: the device
 *
 * Context: interrupt.
 */
void sst_device_config_changed(struct virtio_device *vdev)
{
	struct sst_device *dev = vdev->priv;

	if (dev && vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET)
		queue_work(system_freezable_wq, &dev->recover);
}

/* Waits a little for what is in flight. */
static void sst_device_drain(struct sst_device *dev)
{
	const unsigned long end = jiffies + msecs_to_jiffies(SST_DRAIN_MS);
	u32 i, count;

	do {
		for (i = count = 0; i < dev->queue_count; i++)
			count += sst_queue_wanted(&dev->queues[i]);
		if (!count)
			return;
		msleep(1);
	} while (time_before(jiffies, end));
}

/**
 * sst_device_freeze() - before a suspend or a reset of the device
 * @vdev: the device
 *
 * Return: 0.
 */
int sst_device_freeze(struct virtio_device *vdev)
{
	struct sst_device *dev = vdev->priv;

	down_write(&dev->base.access);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET))
		sst_device_drain(dev);
	sst_device_stop(dev, -ECANCELED);
	up_write(&dev->base.access);
	return 0;
}

/**
 * sst_device_restore() - after it
 * @vdev: the device, with its features
 *
 * Return: 0 or what the virtio core says; then the device stays stopped.
 */
int sst_device_restore(struct virtio_device *vdev)
{
	struct sst_device *dev = vdev->priv;
	int ret;

	down_write(&dev->base.access);
	if (dev->base.gone)
		ret = -ENODEV;
	else
		/* Two reasons may stop a device; one start undoes both. */
		ret = dev->running ? 0 : sst_device_start(dev);
	WRITE_ONCE(dev->failed, ret);
	wake_up_all(&dev->base.waitq);
	up_write(&dev->base.access);
	return ret;
}
