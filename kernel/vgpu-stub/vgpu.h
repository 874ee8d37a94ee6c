/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of the vgpu-stub driver.
 */
#ifndef VGPU_H
#define VGPU_H

#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "mimic_ledger.h"
#include "mimic_node.h"
#include "vgpu_ioctl.h"
#include "vgpu_ring.h"

#ifdef __BIG_ENDIAN
#error "vgpu-stub is for little-endian kernels: the protocol's bytes are used as they are"
#endif

/* Class devices at a time; arbitrary. */
#define VGPU_MAX_DEVICES 256

/* Calls that wait for a device that takes one at a time; arbitrary. */
#define VGPU_MAX_WAITING 256

/**
 * struct vgpu_counters - since probe
 * @requests: that the device was given
 * @answers: that came in time
 * @errors: of @answers: status was not OK
 * @timeouts: requests whose time was over
 * @late: answers that nobody wanted any more
 * @bad: answers that break the device's rules
 * @cancelled: requests that a reset, a suspend or a removal ended
 * @doorbells: rung
 * @interrupts: that came
 * @polls: looks without an interrupt
 * @full: times that there was no room
 * @restarts: of a device that had lost its way
 */
struct vgpu_counters {
	u64 requests;
	u64 answers;
	u64 errors;
	u64 timeouts;
	u64 late;
	u64 bad;
	u64 cancelled;
	u64 doorbells;
	u64 interrupts;
	u64 polls;
	u64 full;
	u64 restarts;
};

struct vgpu_call;

/**
 * struct vgpu_queue - requests of a device
 * @lock: protects all below; taken before the lock of a ledger
 * @running: the device may be given calls
 * @waiting: calls that the device was not given yet; not with a ring
 * @waiting_count: of them
 * @in_flight: calls that the device has, in the order of submission
 * @zombies: calls that the device has and whose time is over
 * @current_call: without a ring: the call that the device has, or NULL
 * @expiry: for the call whose time is over first, or earlier
 * @full: it had no room when somebody asked; also read without @lock
 * @ring: with one
 * @counters: written under @lock, read without
 */
struct vgpu_queue {
	spinlock_t lock;
	bool running;
	struct list_head waiting;
	u32 waiting_count;
	struct list_head in_flight;
	struct list_head zombies;
	struct vgpu_call *current_call;
	struct timer_list expiry;
	bool full;
	struct vgpu_ring ring;
	struct vgpu_counters counters;
};

/**
 * struct vgpu_identity - the device's constant registers, read once
 */
struct vgpu_identity {
	u32 protocol_version;
	u32 capabilities;
	u32 pool_id;
	u32 priority;
	u32 vm_id;
};

/**
 * struct vgpu_device - one device and its node, /dev/vgpuN
 * @base: what any node has; @base.access protects @pdev and that the queue
 *	runs; @base.waitq is also woken when there is room again
 * @pdev: NULL once the device is gone
 * @regs: BAR0, valid while @pdev is
 * @ident: constant registers
 * @mode: enum vgpu_mode
 * @running: requests can be submitted; written under @base.access
 * @failed: it did not start again after a stop; the same
 * @removing: @recover has nothing to do any more
 * @vectors: interrupts that were requested; 0: polled
 * @msix: they are messages
 * @doorbell_lock: keeps writes of RING_TAIL in order
 * @rung: the last RING_TAIL that was written
 * @ring_entries: of the ring in memory, 0 without
 * @rings: memory of both rings, coherent
 * @rings_dma: its bus address
 * @poll_ns: how long until the next look, if there are no interrupts
 * @poll: starts @work then
 * @poll_armed: 1: @poll was started, and its function has not run since
 * @work: looks whether the device is done, and gives it the next
 * @recover: restarts a device that has lost its way
 * @buffers_lock: protects @buffers; interrupts off
 * @buffers: those that the device reaches
 * @queue: requests
 *
 * Lives as long as its node: until it was taken away and the last file closed.
 */
struct vgpu_device {
	struct mimic_node base;
	struct pci_dev *pdev;
	void __iomem *regs;
	struct vgpu_identity ident;
	u32 mode;
	bool running;
	bool failed;
	bool removing;
	int vectors;
	bool msix;
	spinlock_t doorbell_lock;
	u32 rung;
	u32 ring_entries;
	void *rings;
	dma_addr_t rings_dma;
	u64 poll_ns;
	struct hrtimer poll;
	atomic_t poll_armed;
	struct work_struct work;
	struct work_struct recover;
	spinlock_t buffers_lock;
	struct list_head buffers;
	struct vgpu_queue queue;
};

#define to_vgpu_device(d) container_of(to_mimic_node(d), struct vgpu_device, base)

struct vgpu_buffer;

/**
 * struct vgpu_file - an open file
 * @ledger: its requests; has the reference count of all of this
 * @base: what any open file of a node has
 * @dev: valid while the file is open
 * @waitq: woken when an answer is there
 * @timeout_ms: of later requests, 0: none
 * @response_bytes: room for answers to write()
 * @next_cookie: of requests
 * @copied_bytes: of requests and responses that are not in buffers
 * @buffers_lock: protects the buffers
 * @buffers: by handle - 1, NULL if free
 * @buffer_bytes: of all
 */
struct vgpu_file {
	struct mimic_ledger ledger;
	struct mimic_node_file base;
	struct vgpu_device *dev;
	wait_queue_head_t waitq;
	u32 timeout_ms;
	u32 response_bytes;
	atomic64_t next_cookie;
	atomic64_t copied_bytes;
	struct mutex buffers_lock;
	struct vgpu_buffer *buffers[VGPU_MAX_BUFFERS];
	u64 buffer_bytes;
};

/* Whether @dev was taken away; for conditions of waits. */
static inline bool vgpu_device_is_gone(const struct vgpu_device *dev)
{
	return READ_ONCE(dev->base.gone);
}

static inline bool vgpu_device_has_dma(const struct vgpu_device *dev)
{
	return dev->mode != VGPU_MODE_REGISTERS;
}

/* The largest request, and the largest response. */
static inline u32 vgpu_device_max_bytes(const struct vgpu_device *dev)
{
	return vgpu_device_has_dma(dev) ? VGPU_MAX_MESSAGE : VGPU_BUFFER_SIZE;
}

#endif /* VGPU_H */
