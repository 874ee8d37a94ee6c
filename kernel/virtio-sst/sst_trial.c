// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: what a kernel has or has not
 *
 * Never part of the module. Kbuild compiles it once for each name, with
 * -DTRY_name, and defines SST_name for the module if that works: interfaces are
 * tried, not looked up by version, because distributions bring them to older
 * kernels.
 */

#include <linux/module.h>

#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/timer.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

/* virtio_find_vqs() takes an array of these. */
#ifdef TRY_HAS_QUEUE_INFO
struct virtqueue_info trial;
#endif

#ifdef TRY_HAS_RESET_DEVICE
void trial(struct virtio_device *vdev);
void trial(struct virtio_device *vdev)
{
	virtio_reset_device(vdev);
}
#endif

/* A driver is told of resets, such as a PCI function's. */
#ifdef TRY_HAS_RESET_PREPARE
struct virtio_driver trial = { .reset_prepare = NULL, .reset_done = NULL };
#endif

#ifdef TRY_HAS_VIRTIO_SHUTDOWN
struct virtio_driver trial = { .shutdown = NULL };
#endif

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
	hrtimer_setup(timer, NULL, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
}
#endif

/* Files have commands of io_uring. */
#ifdef TRY_HAS_URING
struct file_operations trial = { .uring_cmd = NULL };
#endif

#if defined(TRY_HAS_URING_CMD_H) || defined(TRY_URING_SQE_TYPED) ||         \
	defined(TRY_URING_DONE_SHORT) || defined(TRY_URING_TASK_WORK_TOKEN) || \
	defined(TRY_URING_CANCEL)
#include <linux/io_uring/cmd.h>
#endif

/* The SQE's bytes are asked for by type. */
#ifdef TRY_URING_SQE_TYPED
const int *trial(struct io_uring_cmd *cmd);
const int *trial(struct io_uring_cmd *cmd)
{
	return io_uring_sqe_cmd(cmd->sqe, int);
}
#endif

/* Only commands of large CQEs say a second result. */
#ifdef TRY_URING_DONE_SHORT
void trial(struct io_uring_cmd *cmd);
void trial(struct io_uring_cmd *cmd)
{
	io_uring_cmd_done(cmd, 0, 0);
}
#endif

/* Work in the task is given a request and a token, not a command. */
#ifdef TRY_URING_TASK_WORK_TOKEN
static void trial_work(struct io_tw_req request, io_tw_token_t token)
{
	io_uring_cmd_done(io_uring_cmd_from_tw(request), 0,
			  IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);
}

void trial(struct io_uring_cmd *cmd);
void trial(struct io_uring_cmd *cmd)
{
	io_uring_cmd_complete_in_task(cmd, trial_work);
}
#endif

#ifdef TRY_URING_CANCEL
void trial(struct io_uring_cmd *cmd);
void trial(struct io_uring_cmd *cmd)
{
	io_uring_cmd_mark_cancelable(cmd, IO_URING_F_CANCEL);
}
#endif

MODULE_LICENSE("GPL");
