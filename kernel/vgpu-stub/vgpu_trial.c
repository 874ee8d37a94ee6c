// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: what a kernel has or has not
 *
 * Never part of the module. Kbuild compiles it once for each name, with
 * -DTRY_name, and defines VGPU_name for the module if that works: interfaces
 * are tried, not looked up by version, because distributions bring them to
 * older kernels.
 */

#include <linux/module.h>

#include <linux/hrtimer.h>
#include <linux/pci.h>
#include <linux/timer.h>

#ifdef TRY_HAS_TIMER_DELETE
void trial(struct timer_list *timer);
void trial(struct timer_list *timer)
{
	timer_delete_sync(timer);
}
#endif

#ifdef TRY_HAS_HRTIMER_SETUP
void trial(struct hrtimer *timer);
void trial(struct hrtimer *timer)
{
	hrtimer_setup(timer, NULL, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
}
#endif

#ifdef TRY_HAS_IRQ_INTX
int trial = PCI_IRQ_INTX;
#endif
