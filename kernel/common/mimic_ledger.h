/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who still needs a request: the device, the open file, or both.
 */
#ifndef MIMIC_LEDGER_H
#define MIMIC_LEDGER_H

#ifdef __KERNEL__
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#else
#include "mimic_user.h"
#endif

struct mimic_entry;
struct mimic_ledger;

/**
 * struct mimic_ledger_ops - what a ledger asks of who owns it
 * @wake: an entry is done; any context, the lock of a queue may be held
 * @finish: a @direct entry is done, and the callee has its file's reference;
 *	the same context
 * @free_entry: nobody has the entry any more; any context
 * @free: nobody has the ledger any more; any context
 */
struct mimic_ledger_ops {
	void (*wake)(struct mimic_ledger *ledger);
	void (*finish)(struct mimic_entry *entry);
	void (*free_entry)(struct mimic_entry *entry);
	void (*free)(struct mimic_ledger *ledger);
};

/**
 * struct mimic_ledger - all requests of an open file
 * @ops: see there
 * @refs: the file's and one of each entry
 * @lock: protects all below; innermost
 * @pending: entries that wait for an answer, in the order of submission
 * @done: entries whose answer was not taken yet, in the order of answers
 * @held: entries in both lists, and those that will be
 * @limit: of @held
 */
struct mimic_ledger {
	const struct mimic_ledger_ops *ops;
	refcount_t refs;
	spinlock_t lock;
	struct list_head pending;
	struct list_head done;
	u32 held;
	u32 limit;
};

enum mimic_entry_state {
	MIMIC_ENTRY_NEW, /* in no list */
	MIMIC_ENTRY_PENDING, /* in @pending */
	MIMIC_ENTRY_DONE, /* in @done */
	MIMIC_ENTRY_TAKEN, /* in no list any more */
};

/**
 * struct mimic_entry - one request
 * @refs: the file's (or who took the entry from it), the device's while it has
 *	the buffers, and of who waits for just this entry
 * @ledger: it has a reference
 * @id: number, of a module that looks for entries by it; set before the start
 * @link: in a list of @ledger
 * @state: enum mimic_entry_state, written under the ledger's lock
 * @error: of a done entry: 0 for an answer, or a negative errno in its place
 * @direct: goes to @finish in place of the list of those done
 */
struct mimic_entry {
	refcount_t refs;
	struct mimic_ledger *ledger;
	u64 id;
	struct list_head link;
	u32 state;
	int error;
	bool direct;
};

void mimic_ledger_init(struct mimic_ledger *ledger,
		     const struct mimic_ledger_ops *ops, u32 limit);
bool mimic_ledger_reserve(struct mimic_ledger *ledger);
void mimic_ledger_unreserve(struct mimic_ledger *ledger);
struct mimic_entry *mimic_ledger_take(struct mimic_ledger *ledger);
struct mimic_entry *mimic_ledger_find(struct mimic_ledger *ledger, u64 id);
void mimic_ledger_return(struct mimic_entry *entry);
void mimic_ledger_close(struct mimic_ledger *ledger);
void mimic_ledger_put(struct mimic_ledger *ledger);

void mimic_entry_init(struct mimic_entry *entry, struct mimic_ledger *ledger);
void mimic_entry_start(struct mimic_entry *entry);
bool mimic_entry_settle(struct mimic_entry *entry, int error);
bool mimic_entry_withdraw(struct mimic_entry *entry);
bool mimic_entry_take(struct mimic_entry *entry);
void mimic_entry_get(struct mimic_entry *entry);
void mimic_entry_put(struct mimic_entry *entry);

/* Whether @entry has an answer or an error; what is in it can be read then. */
static inline bool mimic_entry_is_settled(const struct mimic_entry *entry)
{
	return smp_load_acquire(&entry->state) >= MIMIC_ENTRY_DONE;
}

/* Hints, for waits and poll(). */
static inline bool mimic_ledger_has_done(const struct mimic_ledger *ledger)
{
	return !list_empty(&ledger->done);
}

static inline bool mimic_ledger_has_pending(const struct mimic_ledger *ledger)
{
	return !list_empty(&ledger->pending);
}

static inline bool mimic_ledger_is_full(const struct mimic_ledger *ledger)
{
	return READ_ONCE(ledger->held) >= ledger->limit;
}

#endif /* MIMIC_LEDGER_H */
