// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: commands of io_uring
 */

/**
 * DOC: a command is a call that goes to its own end
 *
 * A command's call settles as any other, but in place of the list of those done
 * it goes to sst_uring_finish(), which lets the task that submitted it copy the
 * response. The command has the file's reference of its call; io_uring keeps
 * the file open until the command is complete.
 *
 * Where io_uring can cancel commands it does that by settling the call with
 * -ECANCELED, as anything else settles one. Where it cannot (6.1), a task that
 * ends waits for the timeout of its requests.
 */

#include "sst_uring.h"

#ifdef SST_HAS_URING

#ifdef SST_HAS_URING_CMD_H
#include <linux/io_uring/cmd.h>
#else
#include <linux/io_uring.h>
#endif
#include <linux/uaccess.h>

#include "sst_submit.h"

static void sst_uring_done(struct io_uring_cmd *cmd, int ret,
			   unsigned int issue_flags)
{
#ifdef SST_URING_DONE_SHORT
	io_uring_cmd_done(cmd, ret, issue_flags);
#else
	io_uring_cmd_done(cmd, ret, 0, issue_flags);
#endif
}

static struct sst_call **sst_uring_call(struct io_uring_cmd *cmd)
{
	return (struct sst_call **)cmd->pdu;
}

/* In the task that submitted @cmd. */
static void sst_uring_complete(struct io_uring_cmd *cmd,
			       unsigned int issue_flags)
{
	struct sst_call *call = *sst_uring_call(cmd);
	int ret = call->entry.error;

	if (!ret)
		ret = sst_call_to_user(call, call->uring_response);
	sst_uring_done(cmd, ret ? ret : (int)sizeof(struct SSTResponse),
		       issue_flags);
	/* Until now it could be cancelled, and that looks at the call. */
	mimic_entry_put(&call->entry);
}

#ifdef SST_URING_TASK_WORK_TOKEN
static void sst_uring_task_work(struct io_tw_req request, io_tw_token_t token)
{
	sst_uring_complete(io_uring_cmd_from_tw(request),
			   IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);
}
#else
static void sst_uring_task_work(struct io_uring_cmd *cmd,
				unsigned int issue_flags)
{
	sst_uring_complete(cmd, issue_flags);
}
#endif

/**
 * sst_uring_finish() - the call of a command has settled
 * @call: with the file's reference
 *
 * Context: any.
 */
void sst_uring_finish(struct sst_call *call)
{
	io_uring_cmd_complete_in_task(call->uring, sst_uring_task_work);
}

/* The command is to end now. Its call may settle by itself meanwhile. */
#ifdef SST_URING_CANCEL
static int sst_uring_cancel(struct io_uring_cmd *cmd)
{
	struct sst_call *call = *sst_uring_call(cmd);

	if (call)
		mimic_entry_settle(&call->entry, -ECANCELED);
	return 0;
}
#endif

/* The 16 bytes of the SQE. Read once: user space may write there. */
static struct sst_uring_request sst_uring_argument(struct io_uring_cmd *cmd)
{
	struct sst_uring_request argument;

#if !defined(SST_HAS_URING_CMD_H)
	memcpy(&argument, cmd->cmd, sizeof(argument));
#elif defined(SST_URING_SQE_TYPED)
	memcpy(&argument,
	       io_uring_sqe_cmd(cmd->sqe, struct sst_uring_request),
	       sizeof(argument));
#else
	memcpy(&argument, io_uring_sqe_cmd(cmd->sqe), sizeof(argument));
#endif
	return argument;
}

/* Submits @call for @cmd; 0, or an error and the call is the caller's. */
static int sst_uring_submit(struct sst_file *file, struct sst_call *call,
			    bool nonblock)
{
	LIST_HEAD(calls);
	int ret;

	ret = sst_submit_prepare(file, call);
	if (ret)
		return ret;
	list_add(&call->link, &calls);
	ret = sst_submit_calls(file, &calls, SST_ANY_QUEUE, nonblock);
	if (ret > 0)
		return 0;
	list_del_init(&call->link);
	mimic_ledger_unreserve(&file->ledger);
	return ret == -ERESTARTSYS ? -EINTR : ret;
}

/**
 * sst_uring_cmd() - IORING_OP_URING_CMD
 * @cmd: the command
 * @issue_flags: of io_uring
 *
 * Return: -EIOCBQUEUED: it completes or has completed; -EAGAIN: io_uring tries
 * again where it may sleep; a negative errno.
 */
int sst_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	const bool nonblock = issue_flags & IO_URING_F_NONBLOCK;
	struct sst_file *file = cmd->file->private_data;
	struct sst_uring_request argument;
	struct sst_call *call;
	int ret;

#ifdef SST_URING_CANCEL
	if (issue_flags & IO_URING_F_CANCEL)
		return sst_uring_cancel(cmd);
#endif
	if (cmd->cmd_op != SST_URING_REQUEST)
		return -ENOTTY;
	/* Once it can be cancelled it can not be tried again. */
	if (nonblock && !sst_device_is_gone(file->dev) &&
	    !sst_submit_has_room(file->dev, SST_ANY_QUEUE))
		return -EAGAIN;
	argument = sst_uring_argument(cmd);
	call = sst_call_new(file);
	if (!call)
		return -ENOMEM;
	ret = sst_call_copy(call, file->dev, u64_to_user_ptr(argument.request),
			    sizeof(struct SSTRequest));
	if (ret) {
		mimic_entry_put(&call->entry);
		return ret;
	}
	call->uring = cmd;
	call->uring_response = u64_to_user_ptr(argument.response);
	call->entry.direct = true;
	*sst_uring_call(cmd) = call;
	/* It may be complete, and gone, before the submission returns. */
#ifdef SST_URING_CANCEL
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
#endif
	ret = sst_uring_submit(file, call, nonblock);
	if (ret) {
		sst_uring_done(cmd, ret, issue_flags);
		mimic_entry_put(&call->entry);
	}
	return -EIOCBQUEUED;
}

#else /* !SST_HAS_URING */

/* Without commands no call is one's. */
void sst_uring_finish(struct sst_call *call)
{
}

#endif
