// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: the ring of requests and that of completions
 */

/**
 * DOC: who may write what, and when
 *
 * Both rings have as many entries. A request has a slot from the moment when it
 * is added until its completion is taken, and there are as many slots as
 * entries; so an entry that is written anew was taken by the device long ago,
 * and completions never overtake their reader. Completions come in any order.
 *
 * A completion says by its sequence that it is there: index + 1, so that no
 * register has to be read. Its cookie has the slot in its low bits and a number
 * that is never used again in the others. A device that makes one up, names one
 * twice, or says that it wrote more than there is room for has broken its
 * rules; nothing of that reaches memory that is not this request's.
 *
 * The device does not take an entry while completions that it does not know to
 * be seen fill the rest of the ring. It is told only when that could happen,
 * before the doorbell, which is about once a ring.
 *
 * Plain C: tests/kernel plays devices, good and bad, under sanitizers.
 */

#include "vgpu_ring.h"

#define VGPU_SLOT_BITS 8

static_assert(VGPU_RING_MAX == 1 << VGPU_SLOT_BITS);
static_assert(sizeof(struct vgpu_ring_entry) == 64);
static_assert(sizeof(struct vgpu_ring_completion) == 32);

/**
 * vgpu_ring_init() - begin with empty rings
 * @ring: what was there is forgotten, but for the numbers of cookies
 * @entries: @size of them
 * @completions: as many
 * @size: a power of two, 2 to VGPU_RING_MAX
 */
void vgpu_ring_init(struct vgpu_ring *ring, struct vgpu_ring_entry *entries,
		    struct vgpu_ring_completion *completions, u32 size)
{
	u32 i;

	memset(entries, 0, size * sizeof(*entries));
	memset(completions, 0, size * sizeof(*completions));
	memset(ring->slots, 0, sizeof(ring->slots));
	for (i = 0; i < size; i++)
		ring->free[i] = i;
	ring->entries = entries;
	ring->completions = completions;
	ring->size = size;
	ring->tail = 0;
	ring->seen = 0;
	ring->told = 0;
	ring->used = 0;
}

/**
 * vgpu_ring_add() - write an entry
 * @ring: the ring
 * @request: what to write
 *
 * The device hears of it by the doorbell: @ring->tail.
 *
 * Return: 0, or -ENOSPC.
 */
int vgpu_ring_add(struct vgpu_ring *ring,
		  const struct vgpu_ring_request *request)
{
	struct vgpu_ring_slot *slot;
	u32 index;

	if (vgpu_ring_is_full(ring))
		return -ENOSPC;
	index = ring->free[ring->used];
	WRITE_ONCE(ring->used, ring->used + 1);
	slot = &ring->slots[index];
	slot->owner = request->owner;
	slot->cookie = (++ring->next << VGPU_SLOT_BITS) | index;
	slot->room = request->response_bytes;
	ring->entries[ring->tail % ring->size] = (struct vgpu_ring_entry){
		.request_address = request->request_address,
		.request_length = request->request_bytes,
		.response_address = request->response_address,
		.response_size = request->response_bytes,
		.cookie = slot->cookie,
	};
	WRITE_ONCE(ring->tail, ring->tail + 1);
	return 0;
}

static void vgpu_ring_free_slot(struct vgpu_ring *ring, u32 index)
{
	ring->slots[index].owner = NULL;
	WRITE_ONCE(ring->used, ring->used - 1);
	ring->free[ring->used] = index;
}

/**
 * vgpu_ring_take() - take the next completion
 * @ring: the ring
 * @done: filled in if there is one
 *
 * Return: 1: @done; 0: there is none; -EIO: there is one that nobody waits for,
 * and it was skipped.
 */
int vgpu_ring_take(struct vgpu_ring *ring, struct vgpu_ring_done *done)
{
	struct vgpu_ring_completion *from =
		&ring->completions[ring->seen % ring->size];
	const u32 sequence = ring->seen + 1;
	struct vgpu_ring_slot *slot;
	u64 cookie;
	u32 index;

	if (READ_ONCE(from->sequence) != sequence)
		return 0;
	/* What was written before the sequence is read after it. */
	dma_rmb();
	cookie = READ_ONCE(from->cookie);
	done->error = READ_ONCE(from->error);
	done->response_bytes = READ_ONCE(from->response_length);
	done->timestamp_ns = READ_ONCE(from->timestamp_ns);
	ring->seen = sequence;
	index = cookie & (VGPU_RING_MAX - 1);
	slot = &ring->slots[index];
	if (!slot->owner || slot->cookie != cookie)
		return -EIO;
	done->owner = slot->owner;
	done->failure = 0;
	if (done->response_bytes > slot->room) {
		done->response_bytes = 0;
		done->failure = -EIO;
	}
	vgpu_ring_free_slot(ring, index);
	return 1;
}

/**
 * vgpu_ring_forget() - take back a request that the device no longer has
 * @ring: of a device that was stopped
 *
 * Return: the owner of any, or NULL when there is none.
 */
void *vgpu_ring_forget(struct vgpu_ring *ring)
{
	void *owner;
	u32 i;

	for (i = 0; i < ring->size && ring->used; i++) {
		owner = ring->slots[i].owner;
		if (!owner)
			continue;
		vgpu_ring_free_slot(ring, i);
		return owner;
	}
	return NULL;
}

/**
 * vgpu_ring_must_tell() - whether the device has to know which were seen
 * @ring: about to ring the doorbell
 *
 * Return: true: write @ring->seen to its register now, before the doorbell.
 */
bool vgpu_ring_must_tell(struct vgpu_ring *ring)
{
	if (ring->used + (ring->seen - ring->told) <= ring->size)
		return false;
	ring->told = ring->seen;
	return true;
}
