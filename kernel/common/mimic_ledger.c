// SPDX-License-Identifier: GPL-2.0
/*
 * mimic: who still needs a request
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

#include "mimic_ledger.h"

/**
 * mimic_ledger_init() - begin with one reference, the file's
 * @ledger: memory
 * @ops: outlive it
 * @limit: most entries at a time
 */
void mimic_ledger_init(struct mimic_ledger *ledger,
		     const struct mimic_ledger_ops *ops, u32 limit)
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
 * mimic_ledger_put() - give a reference back
 * @ledger: freed with the last
 */
void mimic_ledger_put(struct mimic_ledger *ledger)
{
	if (refcount_dec_and_test(&ledger->refs))
		ledger->ops->free(ledger);
}

/**
 * mimic_ledger_reserve() - ask for room for one more entry
 * @ledger: of an open file
 *
 * Return: whether there is; then mimic_entry_start() uses it, or
 * mimic_ledger_unreserve() gives it back.
 */
bool mimic_ledger_reserve(struct mimic_ledger *ledger)
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
 * mimic_ledger_unreserve() - give back what mimic_ledger_reserve() gave
 * @ledger: the ledger
 */
void mimic_ledger_unreserve(struct mimic_ledger *ledger)
{
	unsigned long flags;

	spin_lock_irqsave(&ledger->lock, flags);
	WRITE_ONCE(ledger->held, ledger->held - 1);
	spin_unlock_irqrestore(&ledger->lock, flags);
}

/**
 * mimic_entry_init() - make an entry with one reference, the file's
 * @entry: memory
 * @ledger: of an open file
 */
void mimic_entry_init(struct mimic_entry *entry, struct mimic_ledger *ledger)
{
	refcount_set(&entry->refs, 1);
	refcount_inc(&ledger->refs);
	entry->ledger = ledger;
	entry->id = 0;
	INIT_LIST_HEAD(&entry->link);
	entry->state = MIMIC_ENTRY_NEW;
	entry->error = 0;
	entry->direct = false;
}

void mimic_entry_get(struct mimic_entry *entry)
{
	refcount_inc(&entry->refs);
}

/**
 * mimic_entry_put() - give a reference back
 * @entry: freed with the last
 */
void mimic_entry_put(struct mimic_entry *entry)
{
	struct mimic_ledger *ledger = entry->ledger;

	if (!refcount_dec_and_test(&entry->refs))
		return;
	ledger->ops->free_entry(entry);
	mimic_ledger_put(ledger);
}

/* Takes @entry out of its list; the caller holds the lock. */
static void mimic_entry_leave(struct mimic_entry *entry, u32 state)
{
	list_del_init(&entry->link);
	smp_store_release(&entry->state, state);
	WRITE_ONCE(entry->ledger->held, entry->ledger->held - 1);
}

/**
 * mimic_entry_start() - a queue has the buffers: it waits for an answer
 * @entry: new, with room reserved; the file is open
 *
 * Context: the lock of the queue is held, so no answer comes before this.
 */
void mimic_entry_start(struct mimic_entry *entry)
{
	struct mimic_ledger *ledger = entry->ledger;
	unsigned long flags;

	refcount_inc(&entry->refs);
	spin_lock_irqsave(&ledger->lock, flags);
	entry->state = MIMIC_ENTRY_PENDING;
	list_add_tail(&entry->link, &ledger->pending);
	spin_unlock_irqrestore(&ledger->lock, flags);
}

/**
 * mimic_entry_settle() - an answer, or an error in its place
 * @entry: started; the caller has a reference of it
 * @error: 0 or a negative errno
 *
 * Return: false if something else came first.
 */
bool mimic_entry_settle(struct mimic_entry *entry, int error)
{
	struct mimic_ledger *ledger = entry->ledger;
	unsigned long flags;
	bool first, direct = false;

	spin_lock_irqsave(&ledger->lock, flags);
	first = entry->state == MIMIC_ENTRY_PENDING;
	if (first) {
		entry->error = error;
		direct = entry->direct;
		if (direct) {
			mimic_entry_leave(entry, MIMIC_ENTRY_TAKEN);
		} else {
			list_del_init(&entry->link);
			list_add_tail(&entry->link, &ledger->done);
			smp_store_release(&entry->state, MIMIC_ENTRY_DONE);
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
 * mimic_ledger_take() - take the answer that came first
 * @ledger: of an open file
 *
 * Return: an entry, with the file's reference, or NULL.
 */
struct mimic_entry *mimic_ledger_take(struct mimic_ledger *ledger)
{
	struct mimic_entry *entry = NULL;
	unsigned long flags;

	spin_lock_irqsave(&ledger->lock, flags);
	if (!list_empty(&ledger->done)) {
		entry = list_first_entry(&ledger->done, struct mimic_entry, link);
		mimic_entry_leave(entry, MIMIC_ENTRY_TAKEN);
	}
	spin_unlock_irqrestore(&ledger->lock, flags);
	return entry;
}

/**
 * mimic_entry_withdraw() - the file does not want this answer any more
 * @entry: started; the caller has a reference beside the file's
 *
 * Return: whether the file had it still; its reference is given back then.
 */
bool mimic_entry_withdraw(struct mimic_entry *entry)
{
	struct mimic_ledger *ledger = entry->ledger;
	unsigned long flags;
	bool had;

	spin_lock_irqsave(&ledger->lock, flags);
	had = entry->state == MIMIC_ENTRY_PENDING ||
	      entry->state == MIMIC_ENTRY_DONE;
	if (had)
		mimic_entry_leave(entry, MIMIC_ENTRY_TAKEN);
	spin_unlock_irqrestore(&ledger->lock, flags);
	if (had)
		mimic_entry_put(entry);
	return had;
}

/* Finds an entry of @list; the lock is held. */
static struct mimic_entry *mimic_ledger_look(struct list_head *list, u64 id)
{
	struct mimic_entry *entry;

	list_for_each_entry(entry, list, link)
		if (entry->id == id)
			return entry;
	return NULL;
}

/**
 * mimic_ledger_find() - find an entry whose answer was not taken
 * @ledger: of an open file
 * @id: its number
 *
 * Return: the entry with one more reference, for the caller; or NULL.
 */
struct mimic_entry *mimic_ledger_find(struct mimic_ledger *ledger, u64 id)
{
	struct mimic_entry *entry;
	unsigned long flags;

	spin_lock_irqsave(&ledger->lock, flags);
	entry = mimic_ledger_look(&ledger->done, id);
	if (!entry)
		entry = mimic_ledger_look(&ledger->pending, id);
	if (entry)
		refcount_inc(&entry->refs);
	spin_unlock_irqrestore(&ledger->lock, flags);
	return entry;
}

/**
 * mimic_entry_take() - take the answer of one entry
 * @entry: started; the caller has a reference beside the file's
 *
 * Return: whether it was there, and not taken; then the caller has the file's
 * reference, too.
 */
bool mimic_entry_take(struct mimic_entry *entry)
{
	struct mimic_ledger *ledger = entry->ledger;
	unsigned long flags;
	bool there;

	spin_lock_irqsave(&ledger->lock, flags);
	there = entry->state == MIMIC_ENTRY_DONE;
	if (there)
		mimic_entry_leave(entry, MIMIC_ENTRY_TAKEN);
	spin_unlock_irqrestore(&ledger->lock, flags);
	return there;
}

/**
 * mimic_ledger_return() - an answer that was taken is the next to be taken
 * @entry: taken, with the file's reference, which is the ledger's again; the
 *	file is open
 *
 * The ledger may hold one more than its limit then, for a while.
 */
void mimic_ledger_return(struct mimic_entry *entry)
{
	struct mimic_ledger *ledger = entry->ledger;
	unsigned long flags;

	spin_lock_irqsave(&ledger->lock, flags);
	list_add(&entry->link, &ledger->done);
	WRITE_ONCE(ledger->held, ledger->held + 1);
	smp_store_release(&entry->state, MIMIC_ENTRY_DONE);
	spin_unlock_irqrestore(&ledger->lock, flags);
	ledger->ops->wake(ledger);
}

/* Takes the first entry of any list, or NULL. */
static struct mimic_entry *mimic_ledger_drop(struct mimic_ledger *ledger)
{
	struct mimic_entry *entry = NULL;
	struct list_head *list;
	unsigned long flags;

	spin_lock_irqsave(&ledger->lock, flags);
	list = list_empty(&ledger->done) ? &ledger->pending : &ledger->done;
	if (!list_empty(list)) {
		entry = list_first_entry(list, struct mimic_entry, link);
		mimic_entry_leave(entry, MIMIC_ENTRY_TAKEN);
	}
	spin_unlock_irqrestore(&ledger->lock, flags);
	return entry;
}

/**
 * mimic_ledger_close() - the file is closed
 * @ledger: nobody starts entries any more; the file's reference is given back
 *
 * What the device still has stays with the device.
 */
void mimic_ledger_close(struct mimic_ledger *ledger)
{
	struct mimic_entry *entry;

	while ((entry = mimic_ledger_drop(ledger)))
		mimic_entry_put(entry);
	mimic_ledger_put(ledger);
}
