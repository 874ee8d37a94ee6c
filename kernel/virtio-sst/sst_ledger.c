// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: who still needs a request
 */

/**
 * DOC: the life of a request
 *
 * Four things can happen to a request, in any order and at the same time: the
 * device answers, its time is over, its file is closed, its device goes away.
 * Each needs one rule only:
 *
 * - The device has a reference from the moment when a queue has the buffers
 *   until they come out of it: as used, or because the device was reset. No
 *   one else gives that reference back, so memory that a device may write is
 *   never freed.
 * - The file has a reference until its answer is taken, or the file closed.
 * - Who comes first settles: under the ledger's lock an entry leaves the list
 *   of those that wait, once. Who comes later finds it settled and only gives
 *   back its own reference. So an answer that comes after its timeout harms
 *   nobody, and one that comes after close() neither.
 * - Each entry has a reference of the ledger, so a late answer still finds the
 *   lock of a file that is long closed.
 *
 * Plain C: tests/kernel runs this file in user space, with threads that answer,
 * time out and close at the same time, under sanitizers.
 */

#include "sst_ledger.h"

/**
 * sst_ledger_init() - begin with one reference, the file's
 * @ledger: memory
 * @ops: outlive it
 * @limit: most entries at a time
 */
void sst_ledger_init(struct sst_ledger *ledger,
		     const struct sst_ledger_ops *ops, u32 limit)
{
	ledger->ops = ops;
	refcount_set(&ledger->refs, 1);
	spin_lock_init(&ledger->lock);
	INIT_LIST_HEAD(&ledger->pending);
	INIT_LIST_HEAD(&ledger->done);
	ledger->held = 0;
	ledger->limit = limit;
}

/**
 * sst_ledger_put() - give a reference back
 * @ledger: freed with the last
 */
void sst_ledger_put(struct sst_ledger *ledger)
{
	if (refcount_dec_and_test(&ledger->refs))
		ledger->ops->free(ledger);
}

/**
 * sst_ledger_reserve() - ask for room for one more entry
 * @ledger: of an open file
 *
 * Return: whether there is; then sst_entry_start() uses it, or
 * sst_ledger_unreserve() gives it back.
 */
bool sst_ledger_reserve(struct sst_ledger *ledger)
{
	unsigned long flags;
	bool room;

	spin_lock_irqsave(&ledger->lock, flags);
	room = ledger->held < ledger->limit;
	if (room)
		WRITE_ONCE(ledger->held, ledger->held + 1);
	spin_unlock_irqrestore(&ledger->lock, flags);
	return room;
}

/**
 * sst_ledger_unreserve() - give back what sst_ledger_reserve() gave
 * @ledger: the ledger
 */
void sst_ledger_unreserve(struct sst_ledger *ledger)
{
	unsigned long flags;

	spin_lock_irqsave(&ledger->lock, flags);
	WRITE_ONCE(ledger->held, ledger->held - 1);
	spin_unlock_irqrestore(&ledger->lock, flags);
}

/**
 * sst_entry_init() - make an entry with one reference, the file's
 * @entry: memory
 * @ledger: of an open file
 */
void sst_entry_init(struct sst_entry *entry, struct sst_ledger *ledger)
{
	refcount_set(&entry->refs, 1);
	refcount_inc(&ledger->refs);
	entry->ledger = ledger;
	INIT_LIST_HEAD(&entry->link);
	entry->state = SST_ENTRY_NEW;
	entry->error = 0;
	entry->direct = false;
}

void sst_entry_get(struct sst_entry *entry)
{
	refcount_inc(&entry->refs);
}

/**
 * sst_entry_put() - give a reference back
 * @entry: freed with the last
 */
void sst_entry_put(struct sst_entry *entry)
{
	struct sst_ledger *ledger = entry->ledger;

	if (!refcount_dec_and_test(&entry->refs))
		return;
	ledger->ops->free_entry(entry);
	sst_ledger_put(ledger);
}

/* Takes @entry out of its list; the caller holds the lock. */
static void sst_entry_leave(struct sst_entry *entry, u32 state)
{
	list_del_init(&entry->link);
	smp_store_release(&entry->state, state);
	WRITE_ONCE(entry->ledger->held, entry->ledger->held - 1);
}

/**
 * sst_entry_start() - a queue has the buffers: it waits for an answer
 * @entry: new, with room reserved; the file is open
 *
 * Context: the lock of the queue is held, so no answer comes before this.
 */
void sst_entry_start(struct sst_entry *entry)
{
	struct sst_ledger *ledger = entry->ledger;
	unsigned long flags;

	refcount_inc(&entry->refs);
	spin_lock_irqsave(&ledger->lock, flags);
	entry->state = SST_ENTRY_PENDING;
	list_add_tail(&entry->link, &ledger->pending);
	spin_unlock_irqrestore(&ledger->lock, flags);
}

/**
 * sst_entry_settle() - an answer, or an error in its place
 * @entry: started; the caller has a reference of it
 * @error: 0 or a negative errno
 *
 * Return: false if something else came first.
 */
bool sst_entry_settle(struct sst_entry *entry, int error)
{
	struct sst_ledger *ledger = entry->ledger;
	unsigned long flags;
	bool first, direct = false;

	spin_lock_irqsave(&ledger->lock, flags);
	first = entry->state == SST_ENTRY_PENDING;
	if (first) {
		entry->error = error;
		direct = entry->direct;
		if (direct) {
			sst_entry_leave(entry, SST_ENTRY_TAKEN);
		} else {
			list_del_init(&entry->link);
			list_add_tail(&entry->link, &ledger->done);
			smp_store_release(&entry->state, SST_ENTRY_DONE);
		}
	}
	spin_unlock_irqrestore(&ledger->lock, flags);
	/* The caller's reference keeps both. */
	if (direct)
		ledger->ops->finish(entry);
	else if (first)
		ledger->ops->wake(ledger);
	return first;
}

/**
 * sst_ledger_take() - take the answer that came first
 * @ledger: of an open file
 *
 * Return: an entry, with the file's reference, or NULL.
 */
struct sst_entry *sst_ledger_take(struct sst_ledger *ledger)
{
	struct sst_entry *entry = NULL;
	unsigned long flags;

	spin_lock_irqsave(&ledger->lock, flags);
	if (!list_empty(&ledger->done)) {
		entry = list_first_entry(&ledger->done, struct sst_entry, link);
		sst_entry_leave(entry, SST_ENTRY_TAKEN);
	}
	spin_unlock_irqrestore(&ledger->lock, flags);
	return entry;
}

/**
 * sst_entry_withdraw() - the file does not want this answer any more
 * @entry: started; the caller has a reference beside the file's
 *
 * Return: whether the file had it still; its reference is given back then.
 */
bool sst_entry_withdraw(struct sst_entry *entry)
{
	struct sst_ledger *ledger = entry->ledger;
	unsigned long flags;
	bool had;

	spin_lock_irqsave(&ledger->lock, flags);
	had = entry->state == SST_ENTRY_PENDING ||
	      entry->state == SST_ENTRY_DONE;
	if (had)
		sst_entry_leave(entry, SST_ENTRY_TAKEN);
	spin_unlock_irqrestore(&ledger->lock, flags);
	if (had)
		sst_entry_put(entry);
	return had;
}

/* Takes the first entry of any list, or NULL. */
static struct sst_entry *sst_ledger_drop(struct sst_ledger *ledger)
{
	struct sst_entry *entry = NULL;
	struct list_head *list;
	unsigned long flags;

	spin_lock_irqsave(&ledger->lock, flags);
	list = list_empty(&ledger->done) ? &ledger->pending : &ledger->done;
	if (!list_empty(list)) {
		entry = list_first_entry(list, struct sst_entry, link);
		sst_entry_leave(entry, SST_ENTRY_TAKEN);
	}
	spin_unlock_irqrestore(&ledger->lock, flags);
	return entry;
}

/**
 * sst_ledger_close() - the file is closed
 * @ledger: nobody starts entries any more; the file's reference is given back
 *
 * What the device still has stays with the device.
 */
void sst_ledger_close(struct sst_ledger *ledger)
{
	struct sst_entry *entry;

	while ((entry = sst_ledger_drop(ledger)))
		sst_entry_put(entry);
	sst_ledger_put(ledger);
}
