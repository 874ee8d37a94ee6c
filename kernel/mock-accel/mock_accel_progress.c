// SPDX-License-Identifier: GPL-2.0
/*
 * mock-accel: which operations are complete
 */

/**
 * DOC: places and phases
 *
 * Operation n has place n - origin, counted on through the ring's end, and is
 * in entry place modulo entries. The bit "phase" of a completion is 1 in the
 * first turn of the ring, 0 in the second and so on, so that a completion of
 * the turn before is not taken for one of this turn.
 *
 * The device may write what it likes into the ring. It is believed about one
 * thing, the phase of the next entry, and never further than to what was
 * submitted.
 *
 * Nothing here locks. The driver holds file->lock around each call, but for
 * mock_accel_progress_has_work().
 */

#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/string.h>
#include <asm/barrier.h>
#endif

#include "mock_accel_progress.h"

static u16 mock_accel_phase_of(const struct mock_accel_progress *progress,
			       u32 place)
{
	return ((place >> progress->order) & 1) ^ 1;
}

static bool mock_accel_is_done(const struct mock_accel_progress *progress,
			       u32 place)
{
	const struct mock_accel_completion *entry =
		&progress->ring[place & (progress->entries - 1)];

	return (le16_to_cpu(READ_ONCE(entry->phase)) &
		MOCK_ACCEL_COMPLETION_PHASE) ==
	       mock_accel_phase_of(progress, place);
}

/**
 * mock_accel_progress_start() - begin with an empty ring
 * @progress: not running, and nothing in flight
 *
 * The caller enables the hardware ring after that.
 */
void mock_accel_progress_start(struct mock_accel_progress *progress)
{
	memset(progress->ring, 0, progress->entries * sizeof(*progress->ring));
	WRITE_ONCE(progress->origin, progress->submitted);
	WRITE_ONCE(progress->running, true);
}

/**
 * mock_accel_progress_stop() - the device completes nothing more
 * @progress: whose hardware ring was disabled
 *
 * What is in flight stays so until mock_accel_progress_abort().
 */
void mock_accel_progress_stop(struct mock_accel_progress *progress)
{
	WRITE_ONCE(progress->running, false);
}

/**
 * mock_accel_progress_place() - where an operation is
 * @progress: of the queue
 * @operation: its number
 *
 * Return: the place, which counts on through the ring's end.
 */
u32 mock_accel_progress_place(const struct mock_accel_progress *progress,
			      u32 operation)
{
	return operation - progress->origin;
}

/**
 * mock_accel_progress_room() - how many operations there is room for
 * @progress: of the queue
 *
 * A queue that was stopped starts again when all that was in flight was read.
 *
 * Return: 0 to @entries.
 */
u32 mock_accel_progress_room(const struct mock_accel_progress *progress)
{
	if (!progress->running && progress->consumed != progress->submitted)
		return 0;
	return progress->entries - (progress->submitted - progress->consumed);
}

/**
 * mock_accel_progress_has_work() - is there a completion that nobody has seen?
 * @progress: of the queue, which the caller keeps from going away
 *
 * A hint: it may say so of a queue that starts just now.
 *
 * Context: any, also the interrupt handler, without a lock.
 * Return: true if it is worth to look.
 */
bool mock_accel_progress_has_work(const struct mock_accel_progress *progress)
{
	return READ_ONCE(progress->running) &&
	       mock_accel_is_done(progress,
				  READ_ONCE(progress->completed) -
					  READ_ONCE(progress->origin));
}

/**
 * mock_accel_progress_is_ready() - has the device completed the next one?
 * @progress: of the queue
 *
 * Return: true if there is an operation in flight and its completion is there;
 * the rest of the completion may be read then.
 */
bool mock_accel_progress_is_ready(const struct mock_accel_progress *progress)
{
	const u32 next = progress->completed;

	if (!progress->running || next == progress->submitted ||
	    !mock_accel_is_done(progress,
				mock_accel_progress_place(progress, next)))
		return false;
	/* What the entry says is read after its phase. */
	dma_rmb();
	return true;
}

/**
 * mock_accel_progress_take() - take notice of the next completion
 * @progress: with mock_accel_progress_is_ready()
 */
void mock_accel_progress_take(struct mock_accel_progress *progress)
{
	WRITE_ONCE(progress->completed, progress->completed + 1);
}

/**
 * mock_accel_progress_abort() - complete by hand what the device will not
 * @progress: not running, with something in flight
 * @cookie: of the operation that is next
 */
void mock_accel_progress_abort(struct mock_accel_progress *progress, u64 cookie)
{
	const u32 place = mock_accel_progress_place(progress,
						    progress->completed);
	struct mock_accel_completion *entry =
		&progress->ring[place & (progress->entries - 1)];

	entry->cookie = cpu_to_le64(cookie);
	entry->bytes = 0;
	entry->status = cpu_to_le16(MOCK_ACCEL_COMPLETION_ABORTED);
	/* As the device does it: the phase last. */
	smp_wmb();
	WRITE_ONCE(entry->phase,
		   cpu_to_le16(mock_accel_phase_of(progress, place)));
	mock_accel_progress_take(progress);
}

/**
 * mock_accel_progress_consume() - note what user space has read
 * @progress: of the queue
 * @consumed: from user space
 *
 * A number that is behind the one we know comes from a slow thread.
 *
 * Return: false if that many are not complete.
 */
bool mock_accel_progress_consume(struct mock_accel_progress *progress,
				 u32 consumed)
{
	if ((s32)(consumed - progress->completed) > 0)
		return false;
	if ((s32)(consumed - progress->consumed) > 0)
		progress->consumed = consumed;
	return true;
}
