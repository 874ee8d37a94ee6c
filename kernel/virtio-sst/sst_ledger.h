/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who still needs a request: the device, the open file, or both.
 */
#ifndef SST_LEDGER_H
#define SST_LEDGER_H

#ifdef __KERNEL__
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#else
#include "sst_user.h"
#endif

struct sst_entry;
struct sst_ledger;

/**
 * struct sst_ledger_ops - what a ledger asks of who owns it
 * @wake: an entry is done; any context, the lock of a queue may be held
 * @finish: a @direct entry is done, and the callee has its file's reference;
 *	the same context
 * @free_entry: nobody has the entry any more; any context
 * @free: nobody has the ledger any more; any context
 */
struct sst_ledger_ops {
	void (*wake)(struct sst_ledger *ledger);
	void (*finish)(struct sst_entry *entry);
	void (*free_entry)(struct sst_entry *entry);
	void (*free)(struct sst_ledger *ledger);
};

/**
 * struct sst_ledger - all requests of an open file
 * @ops: see there
 * @refs: the file's and one of each entry
 * @lock: protects all below; innermost
 * @pending: entries that wait for an answer, in the order of submission
 * @done: entries whose answer was not taken yet, in the order of answers
 * @held: entries in both lists, and those that will be
 * @limit: of @held
 */
struct sst_ledger {
	const struct sst_ledger_ops *ops;
	refcount_t refs;
	spinlock_t lock;
	struct list_head pending;
	struct list_head done;
	u32 held;
	u32 limit;
};

enum sst_entry_state {
	SST_ENTRY_NEW, /* in no list */
	SST_ENTRY_PENDING, /* in @pending */
	SST_ENTRY_DONE, /* in @done */
	SST_ENTRY_TAKEN, /* in no list any more */
};

/**
 * struct sst_entry - one request
 * @refs: the file's (or who took the entry from it), the device's while it has
 *	the buffers, and of who waits for just this entry
 * @ledger: it has a reference
 * @link: in a list of @ledger
 * @state: enum sst_entry_state, written under the ledger's lock
 * @error: of a done entry: 0 for an answer, or a negative errno in its place
 * @direct: goes to @finish in place of the list of those done
 */
struct sst_entry {
	refcount_t refs;
	struct sst_ledger *ledger;
	struct list_head link;
	u32 state;
	int error;
	bool direct;
};

void sst_ledger_init(struct sst_ledger *ledger,
		     const struct sst_ledger_ops *ops, u32 limit);
bool sst_ledger_reserve(struct sst_ledger *ledger);
void sst_ledger_unreserve(struct sst_ledger *ledger);
struct sst_entry *sst_ledger_take(struct sst_ledger *ledger);
void sst_ledger_close(struct sst_ledger *ledger);
void sst_ledger_put(struct sst_ledger *ledger);

void sst_entry_init(struct sst_entry *entry, struct sst_ledger *ledger);
void sst_entry_start(struct sst_entry *entry);
bool sst_entry_settle(struct sst_entry *entry, int error);
bool sst_entry_withdraw(struct sst_entry *entry);
void sst_entry_get(struct sst_entry *entry);
void sst_entry_put(struct sst_entry *entry);

/* Whether @entry has an answer or an error; what is in it can be read then. */
static inline bool sst_entry_is_settled(const struct sst_entry *entry)
{
	return smp_load_acquire(&entry->state) >= SST_ENTRY_DONE;
}

/* Hints, for waits and poll(). */
static inline bool sst_ledger_has_done(const struct sst_ledger *ledger)
{
	return !list_empty(&ledger->done);
}

static inline bool sst_ledger_has_pending(const struct sst_ledger *ledger)
{
	return !list_empty(&ledger->pending);
}

static inline bool sst_ledger_is_full(const struct sst_ledger *ledger)
{
	return READ_ONCE(ledger->held) >= ledger->limit;
}

#endif /* SST_LEDGER_H */
