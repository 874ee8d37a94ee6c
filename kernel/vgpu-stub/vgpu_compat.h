/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels 5.10 and 7.3, besides those in mimic_compat.h.
 * Kbuild tries which there are.
 */
#ifndef VGPU_COMPAT_H
#define VGPU_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/mmzone.h>
#include <linux/pci.h>
#include <linux/timer.h>
#include <linux/version.h>

static inline void vgpu_timer_stop(struct timer_list *timer)
{
#ifdef VGPU_HAS_TIMER_DELETE
	timer_delete_sync(timer);
#else
	del_timer_sync(timer);
#endif
}

static inline void
vgpu_hrtimer_init(struct hrtimer *timer,
		  enum hrtimer_restart (*function)(struct hrtimer *))
{
#ifdef VGPU_HAS_HRTIMER_SETUP
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = function;
#endif
}

/* INTx had another name. */
#ifdef VGPU_HAS_IRQ_INTX
#define VGPU_IRQ_INTX PCI_IRQ_INTX
#else
#define VGPU_IRQ_INTX PCI_IRQ_LEGACY
#endif

/* The largest order of pages: the name changed, and before that its meaning. */
#ifdef MAX_PAGE_ORDER
#define VGPU_MAX_ORDER MAX_PAGE_ORDER
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define VGPU_MAX_ORDER MAX_ORDER
#else
#define VGPU_MAX_ORDER (MAX_ORDER - 1)
#endif

#endif /* VGPU_COMPAT_H */
