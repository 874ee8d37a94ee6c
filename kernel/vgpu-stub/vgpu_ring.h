/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ring of requests and that of completions, as memory.
 */
#ifndef VGPU_RING_H
#define VGPU_RING_H

#ifdef __KERNEL__
#include <asm/barrier.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include "mimic_user.h"
#endif

/* The device's registers allow no more. */
#define VGPU_RING_MAX 256

/* What the device reads. */
struct vgpu_ring_entry {
	u64 request_address;
	u32 request_length;
	u32 flags;
	u64 response_address;
	u32 response_size;
	u32 reserved;
	u64 cookie;
	u8 zero[24];
};

/* What it writes; sequence is the last. */
struct vgpu_ring_completion {
	u64 cookie;
	u32 error;
	u32 response_length;
	u64 timestamp_ns;
	u32 sequence;
	u32 reserved;
};

/**
 * struct vgpu_ring_slot - one request that the device has
 * @owner: whose, NULL if the slot is free
 * @cookie: that it was given
 * @room: for its response
 */
struct vgpu_ring_slot {
	void *owner;
	u64 cookie;
	u32 room;
};

/**
 * struct vgpu_ring - both rings
 * @entries: of requests; the device reads it
 * @completions: the device writes it: READ_ONCE() only
 * @size: of each, a power of two
 * @tail: entries written, free running
 * @seen: completions taken, free running
 * @told: of @seen, what the device knows
 * @used: slots that are not free
 * @next: number of the next cookie
 * @free: the free slots, from @used on
 * @slots: by the low bits of a cookie
 */
struct vgpu_ring {
	struct vgpu_ring_entry *entries;
	struct vgpu_ring_completion *completions;
	u32 size;
	u32 tail;
	u32 seen;
	u32 told;
	u32 used;
	u64 next;
	u16 free[VGPU_RING_MAX];
	struct vgpu_ring_slot slots[VGPU_RING_MAX];
};

/**
 * struct vgpu_ring_request - what goes into an entry
 * @request_address: bus address
 * @response_address: bus address
 * @request_bytes: of the request
 * @response_bytes: room for the response
 * @owner: comes back with the completion; not NULL
 */
struct vgpu_ring_request {
	u64 request_address;
	u64 response_address;
	u32 request_bytes;
	u32 response_bytes;
	void *owner;
};

/**
 * struct vgpu_ring_done - a completion, checked
 * @owner: of the request
 * @error: enum vgpu_error, by the device
 * @response_bytes: that the device has written, within the room
 * @timestamp_ns: by the device
 * @failure: 0, or -EIO: it says that it wrote more than there is room
 */
struct vgpu_ring_done {
	void *owner;
	u32 error;
	u32 response_bytes;
	u64 timestamp_ns;
	int failure;
};

void vgpu_ring_init(struct vgpu_ring *ring, struct vgpu_ring_entry *entries,
		    struct vgpu_ring_completion *completions, u32 size);
int vgpu_ring_add(struct vgpu_ring *ring,
		  const struct vgpu_ring_request *request);
int vgpu_ring_take(struct vgpu_ring *ring, struct vgpu_ring_done *done);
void *vgpu_ring_forget(struct vgpu_ring *ring);
bool vgpu_ring_must_tell(struct vgpu_ring *ring);

static inline bool vgpu_ring_is_full(const struct vgpu_ring *ring)
{
	return ring->used == ring->size;
}

#endif /* VGPU_RING_H */
