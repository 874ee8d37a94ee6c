/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels 5.10 and 7.3, besides those in mimic_compat.h.
 * Kbuild tries which there are. Those of io_uring are in sst_uring.c.
 */
#ifndef SST_COMPAT_H
#define SST_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/timer.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#include "sst_protocol.h"

/* A queue as virtio_find_vqs() wants to know it. */
#ifdef SST_HAS_QUEUE_INFO
typedef struct virtqueue_info sst_queue_info;
#else
typedef struct {
	const char *name;
	vq_callback_t *callback;
} sst_queue_info;
#endif

#define SST_MAX_VIRTQUEUES (1 + 2 * SST_MAX_QUEUE_PAIRS)

static inline int sst_find_vqs(struct virtio_device *vdev, unsigned int count,
			       struct virtqueue **vqs, sst_queue_info *info)
{
#ifdef SST_HAS_QUEUE_INFO
	return virtio_find_vqs(vdev, count, vqs, info, NULL);
#else
	vq_callback_t *callbacks[SST_MAX_VIRTQUEUES];
	const char *names[SST_MAX_VIRTQUEUES];
	unsigned int i;

	for (i = 0; i < count; i++) {
		callbacks[i] = info[i].callback;
		names[i] = info[i].name;
	}
	return virtio_find_vqs(vdev, count, vqs, callbacks, names, NULL);
#endif
}

static inline void sst_reset_device(struct virtio_device *vdev)
{
#ifdef SST_HAS_RESET_DEVICE
	virtio_reset_device(vdev);
#else
	vdev->config->reset(vdev);
#endif
}

static inline void sst_timer_stop(struct timer_list *timer)
{
#ifdef SST_HAS_TIMER_DELETE
	timer_delete_sync(timer);
#else
	del_timer_sync(timer);
#endif
}

static inline void
sst_hrtimer_init(struct hrtimer *timer,
		 enum hrtimer_restart (*function)(struct hrtimer *))
{
#ifdef SST_HAS_HRTIMER_SETUP
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	timer->function = function;
#endif
}

#endif /* SST_COMPAT_H */
