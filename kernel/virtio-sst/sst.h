/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of the virtio-sst driver.
 */
#ifndef SST_H
#define SST_H

#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "mimic_node.h"
#include "sst_ioctl.h"
#include "mimic_ledger.h"
#include "sst_protocol.h"
#include "sst_ring.h"

#ifdef __BIG_ENDIAN
#error "virtio-sst is for little-endian kernels: the protocol's bytes are used as they are"
#endif

/* Class devices at a time; Linux SST's driver has 16. */
#define SST_MAX_DEVICES 64

/* Buffers that wait for events of a device; arbitrary. */
#define SST_EVENT_BUFFERS 64

/**
 * struct sst_queue_counters - of one queue pair, since probe
 * @requests: that the device was given
 * @answers: that came in time
 * @failed: of @answers: status was not OK
 * @timeouts: requests whose time was over
 * @late: answers that nobody wanted any more
 * @bad: answers too short, or with a wrong id
 * @cancelled: requests that a reset, a suspend or a removal ended
 * @kicks: notifications that the device asked for
 * @interrupts: of the request queue
 * @full: times that the queue had no room
 */
struct sst_queue_counters {
	u64 requests;
	u64 answers;
	u64 failed;
	u64 timeouts;
	u64 late;
	u64 bad;
	u64 cancelled;
	u64 kicks;
	u64 interrupts;
	u64 full;
};

struct sst_device;
struct sst_queue_folder;

/**
 * struct sst_queue - a queue pair; the driver uses its request queue
 * @dev: what it is a part of
 * @index: which
 * @lock: protects all below; taken before the lock of a ledger
 * @vq: the request queue, NULL while the device is stopped
 * @in_flight: calls that the device has, in the order of submission
 * @zombies: calls that the device has and whose time is over
 * @delayed: calls that the device has answered and whose latency is not over,
 *	the next first (lock-step)
 * @due: for the first of @delayed
 * @expiry: for the call in @in_flight whose time is over first, or earlier
 * @full: it had no room when somebody asked; also read without @lock
 * @counters: written under @lock, read without
 */
struct sst_queue {
	struct sst_device *dev;
	u32 index;
	spinlock_t lock;
	struct virtqueue *vq;
	struct list_head in_flight;
	struct list_head zombies;
	struct list_head delayed;
	struct hrtimer due;
	struct timer_list expiry;
	bool full;
	struct sst_queue_counters counters;
};

/**
 * struct sst_event_queue - events of a device
 * @lock: protects all here, and the rings of all files; innermost
 * @vq: NULL while stopped, or without the feature
 * @buffers: SST_EVENT_BUFFERS, NULL without the feature
 * @subscribers: open files that hear of events
 * @events: that came
 */
struct sst_event_queue {
	spinlock_t lock;
	struct virtqueue *vq;
	struct SSTEvent *buffers;
	struct list_head subscribers;
	u64 events;
};

/**
 * struct sst_device - one device and its node, /dev/sstN
 * @base: what any node has; @base.access protects @vdev and that queues run;
 *	@base.waitq is also woken when a queue has room again
 * @vdev: NULL once the device is gone
 * @running: queues can be used; written under @base.access
 * @failed: it did not start again after a stop; the same
 * @lock_step: SST_F_LOCK_STEP was accepted
 * @timing: SST_F_TIMING was accepted
 * @short_requests: only the bytes that say something are sent
 * @config: copy of the configuration space
 * @features: accepted
 * @next_id: of requests
 * @removing: @recover has nothing to do any more
 * @recover: resets a device that says that it needs it, or has lost its way
 * @events: the event queue
 * @folders: of the queues in sysfs, or NULL
 * @queue_count: elements of @queues
 * @queues: queue pairs
 *
 * Lives as long as its node: until it was taken away and the last file closed.
 */
struct sst_device {
	struct mimic_node base;
	struct virtio_device *vdev;
	bool running;
	bool failed;
	bool lock_step;
	bool timing;
	bool short_requests;
	struct SSTConfig config;
	u64 features;
	atomic64_t next_id;
	bool removing;
	struct work_struct recover;
	struct sst_event_queue events;
	struct sst_queue_folder *folders;
	u32 queue_count;
	struct sst_queue queues[];
};

#define to_sst_device(d) container_of(to_mimic_node(d), struct sst_device, base)

struct sst_buffer;

/**
 * struct sst_file - an open file, or the self-tests
 * @ledger: its requests; has the reference count of all of this
 * @base: what any open file of a node has; unused by the self-tests
 * @dev: valid while the file is open
 * @waitq: woken when an answer or an event is there
 * @timeout_ms: of later requests, 0: none
 * @events: those that were not read; under the lock of the event queue
 * @subscription: in the list of subscribers, or empty; the same
 * @buffers_lock: protects the buffers
 * @buffers: by handle - 1, NULL if free
 * @buffer_bytes: of all
 */
struct sst_file {
	struct mimic_ledger ledger;
	struct mimic_node_file base;
	struct sst_device *dev;
	wait_queue_head_t waitq;
	u32 timeout_ms;
	struct sst_ring events;
	struct list_head subscription;
	struct mutex buffers_lock;
	struct sst_buffer *buffers[SST_MAX_BUFFERS];
	u64 buffer_bytes;
};

/* Whether @dev was taken away; for conditions of waits. */
static inline bool sst_device_is_gone(const struct sst_device *dev)
{
	return READ_ONCE(dev->base.gone);
}

#endif /* SST_H */
