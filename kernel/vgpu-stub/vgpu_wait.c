// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: answers on their way to user space
 */

#include <linux/ktime.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "vgpu_call.h"
#include "vgpu_wait.h"

/* What read() says of an answer without a response, by enum vgpu_error. */
static const int vgpu_wait_errors[] = {
	[VGPU_OK] = 0,
	[VGPU_ERROR_INVALID_REQUEST] = -EBADMSG,
	[VGPU_ERROR_REQUEST_TOO_LARGE] = -EFBIG,
	[VGPU_ERROR_MEDIATOR_UNAVAILABLE] = -EHOSTUNREACH,
	[VGPU_ERROR_TIMEOUT] = -ETIME,
	[VGPU_ERROR_BACKEND] = -EREMOTEIO,
	[VGPU_ERROR_POOL] = -ENXIO,
	[VGPU_ERROR_QUEUE_FULL] = -EBUSY,
	[VGPU_ERROR_UNSUPPORTED] = -EOPNOTSUPP,
	[VGPU_ERROR_INVALID_LENGTH] = -EOVERFLOW,
	[VGPU_ERROR_RATE_LIMITED] = -EUSERS,
	[VGPU_ERROR_QUARANTINED] = -EKEYREJECTED,
	[VGPU_ERROR_MEMORY] = -EDQUOT,
	[VGPU_ERROR_HANDLE] = -EBADF,
	[VGPU_ERROR_DMA] = -EFAULT,
	[VGPU_ERROR_DENIED] = -EPERM,
	[VGPU_ERROR_CANCELLED] = -ECANCELED,
};

static int vgpu_wait_error(u32 status)
{
	if (status >= ARRAY_SIZE(vgpu_wait_errors))
		return -EREMOTEIO;
	return vgpu_wait_errors[array_index_nospec(
		status, ARRAY_SIZE(vgpu_wait_errors))];
}

/**
 * struct vgpu_wait_until - how long to wait
 * @nonblock: not at all
 * @forever: until a signal
 * @end: else
 */
struct vgpu_wait_until {
	bool nonblock;
	bool forever;
	ktime_t end;
};

static struct vgpu_wait_until vgpu_wait_limit(u64 timeout_ns, bool nonblock)
{
	struct vgpu_wait_until until = { .nonblock = nonblock };

	until.forever = timeout_ns > KTIME_MAX;
	if (!until.forever)
		until.end = ktime_add_safe(ktime_get(),
					   ns_to_ktime(timeout_ns));
	return until;
}

/* What of @until is left: a time for wait_event_interruptible_hrtimeout(). */
static ktime_t vgpu_wait_left(const struct vgpu_wait_until *until)
{
	ktime_t left;

	if (until->forever)
		return KTIME_MAX;
	left = ktime_sub(until->end, ktime_get());
	return ktime_compare(left, 0) > 0 ? left : 0;
}

/* Waits for a condition; 0, -ETIMEDOUT or -ERESTARTSYS. */
#define vgpu_wait_event(file, condition, until)                              \
	({                                                                   \
		int __error = (until)->forever ?                             \
				      wait_event_interruptible((file)->waitq, \
							       condition) :  \
				      wait_event_interruptible_hrtimeout(    \
					      (file)->waitq, condition,      \
					      vgpu_wait_left(until));        \
		__error == -ETIME ? -ETIMEDOUT : __error;                    \
	})

/* Whether a wait for an answer is over, or never would be. */
static bool vgpu_wait_is_ready(const struct vgpu_file *file)
{
	return mimic_ledger_has_done(&file->ledger) ||
	       !mimic_ledger_has_pending(&file->ledger);
}

/*
 * The next answer. None, and none will come: -EAGAIN, or -ENODEV without a
 * device.
 */
static struct vgpu_call *vgpu_wait_next(struct vgpu_file *file,
					const struct vgpu_wait_until *until)
{
	struct mimic_entry *entry;
	int ret;

	for (;;) {
		entry = mimic_ledger_take(&file->ledger);
		if (entry)
			return to_vgpu_call(entry);
		if (!mimic_ledger_has_pending(&file->ledger)) {
			/* The last one may have been answered since. */
			entry = mimic_ledger_take(&file->ledger);
			if (entry)
				return to_vgpu_call(entry);
			return ERR_PTR(vgpu_device_is_gone(file->dev) ?
					       -ENODEV :
					       -EAGAIN);
		}
		if (until->nonblock)
			return ERR_PTR(-EAGAIN);
		ret = vgpu_wait_event(file, vgpu_wait_is_ready(file), until);
		if (ret)
			return ERR_PTR(ret);
	}
}

/* The answer to one request; with @forget it is now or never. */
static struct vgpu_call *vgpu_wait_for(struct vgpu_file *file, u64 cookie,
				       bool forget,
				       const struct vgpu_wait_until *until)
{
	struct mimic_entry *entry = mimic_ledger_find(&file->ledger, cookie);
	int ret = 0;

	if (!entry)
		return ERR_PTR(-ENOENT);
	if (!mimic_entry_is_settled(entry)) {
		if (until->nonblock)
			ret = -EAGAIN;
		else
			ret = vgpu_wait_event(file,
					      mimic_entry_is_settled(entry),
					      until);
	}
	if (!ret && !mimic_entry_take(entry))
		/* Somebody else has taken it. */
		ret = -ENOENT;
	if (ret && forget)
		mimic_entry_withdraw(entry);
	/* Without an error the file's reference is ours, too. */
	mimic_entry_put(entry);
	return ret ? ERR_PTR(ret) : to_vgpu_call(entry);
}

/**
 * vgpu_wait_read() - read()
 * @file: open
 * @buf: where to
 * @count: room; if a response needs more, it stays, and -EMSGSIZE is returned
 * @nonblock: of the file
 *
 * Return: the bytes of the next response; an error in its place; -EAGAIN if
 * there is none, and none in flight or not to wait.
 */
ssize_t vgpu_wait_read(struct vgpu_file *file, char __user *buf, size_t count,
		       bool nonblock)
{
	const struct vgpu_wait_until until = { .nonblock = nonblock,
					       .forever = true };
	struct vgpu_call *call = vgpu_wait_next(file, &until);
	ssize_t ret;

	if (IS_ERR(call))
		return PTR_ERR(call);
	ret = call->entry.error;
	if (!ret && !call->used)
		ret = vgpu_wait_error(call->status);
	if (!ret && call->used > count) {
		mimic_ledger_return(&call->entry);
		return -EMSGSIZE;
	}
	if (!ret)
		ret = vgpu_call_to_user(call, buf);
	if (!ret)
		ret = call->used;
	mimic_entry_put(&call->entry);
	return ret;
}

static void vgpu_wait_fill(struct vgpu_completion *completion,
			   const struct vgpu_call *call)
{
	*completion = (struct vgpu_completion){
		.cookie = call->entry.id,
		.user_data = call->user_data,
		.error = call->entry.error,
		.buffer = call->buffer ? call->buffer->handle : 0,
		.response = call->response_offset,
		.wall_ns = ktime_to_ns(ktime_sub(call->answered,
						 call->submitted)),
	};
	if (completion->error)
		return;
	completion->status = call->status;
	completion->response_bytes = call->used;
	completion->device_ns = call->device_ns;
	/* It may be gone from where user space wanted it; the rest is known. */
	if (!call->buffer && call->user_response &&
	    vgpu_call_to_user(call, call->user_response))
		completion->error = -EFAULT;
}

/* Gives one answer to user space, as element @index. */
static int vgpu_wait_give(const struct vgpu_wait *wait, u32 index,
			  const struct vgpu_call *call)
{
	const u32 size = min_t(u32, wait->completion_size,
			       sizeof(struct vgpu_completion));
	u8 __user *place = u64_to_user_ptr(wait->completions +
					   (u64)index * wait->completion_size);
	struct vgpu_completion completion;

	vgpu_wait_fill(&completion, call);
	if (copy_to_user(place, &completion, size) ||
	    clear_user(place + size, wait->completion_size - size))
		return -EFAULT;
	return 0;
}

static int vgpu_wait_check(const struct vgpu_wait *wait)
{
	const u32 known = VGPU_WAIT_NONBLOCK | VGPU_WAIT_COOKIE |
			  VGPU_WAIT_FORGET;

	if (wait->flags & ~known || !wait->count ||
	    wait->count > VGPU_MAX_BATCH || wait->min_count > wait->count)
		return -EINVAL;
	if (wait->flags & VGPU_WAIT_COOKIE ?
		    wait->count != 1 :
		    wait->cookie || wait->flags & VGPU_WAIT_FORGET)
		return -EINVAL;
	if (wait->completion_size < offsetofend(struct vgpu_completion,
						device_ns) ||
	    wait->completion_size > PAGE_SIZE)
		return -EINVAL;
	return 0;
}

/**
 * vgpu_wait_many() - VGPU_IOC_WAIT
 * @file: open
 * @wait: from user space, and back
 * @nonblock: of the file
 *
 * Return: 0, with the number in @wait; or a negative errno if there is none.
 */
int vgpu_wait_many(struct vgpu_file *file, struct vgpu_wait *wait,
		   bool nonblock)
{
	struct vgpu_wait_until until;
	struct vgpu_call *call;
	u32 done = 0;
	int ret = vgpu_wait_check(wait);

	if (ret)
		return ret;
	nonblock = nonblock || wait->flags & VGPU_WAIT_NONBLOCK;
	until = vgpu_wait_limit(wait->timeout_ns, nonblock);
	while (!ret && done < wait->count) {
		/* One is always waited for. */
		until.nonblock = nonblock || (done && done >= wait->min_count);
		call = wait->flags & VGPU_WAIT_COOKIE ?
			       vgpu_wait_for(file, wait->cookie,
					     wait->flags & VGPU_WAIT_FORGET,
					     &until) :
			       vgpu_wait_next(file, &until);
		if (IS_ERR(call)) {
			ret = PTR_ERR(call);
			break;
		}
		ret = vgpu_wait_give(wait, done, call);
		mimic_entry_put(&call->entry);
		done += !ret;
	}
	wait->reaped = done;
	return done ? 0 : ret;
}
