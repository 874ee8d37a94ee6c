/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events that an open file has not read yet.
 */
#ifndef SST_RING_H
#define SST_RING_H

#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/types.h>
#else
#include "mimic_user.h"
#endif

#include "sst_protocol.h"

/* Arbitrary; a power of two. */
#define SST_RING_EVENTS 256

/**
 * struct sst_ring - the newest events
 * @written: events ever put in
 * @read: events ever taken out or lost
 * @lost: events that a newer one has replaced
 * @events: by number modulo SST_RING_EVENTS
 *
 * Its owner has a lock; a reader without it may ask sst_ring_is_empty() only.
 */
struct sst_ring {
	u32 written;
	u32 read;
	u64 lost;
	struct SSTEvent events[SST_RING_EVENTS];
};

void sst_ring_put(struct sst_ring *ring, const struct SSTEvent *event);
bool sst_ring_take(struct sst_ring *ring, struct SSTEvent *event);

static inline bool sst_ring_is_empty(const struct sst_ring *ring)
{
	return READ_ONCE(ring->written) == READ_ONCE(ring->read);
}

#endif /* SST_RING_H */
