/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What pure files need of the kernel, for their tests in user space.
 */
#ifndef MIMIC_USER_H
#define MIMIC_USER_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define min(a, b) ((a) < (b) ? (a) : (b))
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), (value), __ATOMIC_RELAXED)
#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, value) \
	__atomic_store_n((p), (value), __ATOMIC_RELEASE)
#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* What was written first is read first. */
#define dma_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)

typedef pthread_mutex_t spinlock_t;
#define spin_lock_init(lock) pthread_mutex_init((lock), NULL)
#define spin_lock_irqsave(lock, flags) \
	((void)((flags) = 0), pthread_mutex_lock(lock))
#define spin_unlock_irqrestore(lock, flags) \
	((void)(flags), pthread_mutex_unlock(lock))

typedef struct {
	int value;
} refcount_t;

static inline void refcount_set(refcount_t *count, int value)
{
	__atomic_store_n(&count->value, value, __ATOMIC_RELAXED);
}

static inline void refcount_inc(refcount_t *count)
{
	__atomic_add_fetch(&count->value, 1, __ATOMIC_RELAXED);
}

static inline bool refcount_dec_and_test(refcount_t *count)
{
	return __atomic_sub_fetch(&count->value, 1, __ATOMIC_ACQ_REL) == 0;
}

struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline void list_add_tail(struct list_head *item, struct list_head *list)
{
	item->next = list;
	item->prev = list->prev;
	list->prev->next = item;
	list->prev = item;
}

static inline void list_add(struct list_head *item, struct list_head *list)
{
	list_add_tail(item, list->next);
}

static inline void list_del_init(struct list_head *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	INIT_LIST_HEAD(item);
}

static inline bool list_empty(const struct list_head *list)
{
	return __atomic_load_n(&list->next, __ATOMIC_RELAXED) == list;
}

#define list_for_each_entry(pos, list, member)                             \
	for ((pos) = container_of((list)->next, __typeof__(*(pos)), member); \
	     &(pos)->member != (list);                                       \
	     (pos) = container_of((pos)->member.next, __typeof__(*(pos)), member))

#define list_first_entry(list, type, member) \
	container_of((list)->next, type, member)

#endif /* MIMIC_USER_H */
