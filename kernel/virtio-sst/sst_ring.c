// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: events that an open file has not read yet
 *
 * Plain C: tests/kernel runs this file in user space under sanitizers.
 */

#include "sst_ring.h"

/**
 * sst_ring_put() - keep an event; the oldest makes room if there is none
 * @ring: the ring
 * @event: copied
 */
void sst_ring_put(struct sst_ring *ring, const struct SSTEvent *event)
{
	if (ring->written - ring->read == SST_RING_EVENTS) {
		WRITE_ONCE(ring->read, ring->read + 1);
		ring->lost++;
	}
	ring->events[ring->written % SST_RING_EVENTS] = *event;
	WRITE_ONCE(ring->written, ring->written + 1);
}

/**
 * sst_ring_take() - take the oldest event
 * @ring: the ring
 * @event: where to
 *
 * Return: false if there is none.
 */
bool sst_ring_take(struct sst_ring *ring, struct SSTEvent *event)
{
	if (sst_ring_is_empty(ring))
		return false;
	*event = ring->events[ring->read % SST_RING_EVENTS];
	WRITE_ONCE(ring->read, ring->read + 1);
	return true;
}
