// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: open files
 */

#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "sst_event.h"
#include "sst_file.h"
#include "sst_uring.h"

static unsigned int timeout_ms = 5000;
module_param(timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms,
		 "time that a request may take, of files opened later (0: any)");

static unsigned int max_in_flight = 1024;
module_param(max_in_flight, uint, 0644);
MODULE_PARM_DESC(max_in_flight,
		 "requests of a file, with unread answers; of files opened later");

static void sst_file_wake(struct mimic_ledger *ledger)
{
	wake_up_all(&container_of(ledger, struct sst_file, ledger)->waitq);
}

static void sst_file_finish(struct mimic_entry *entry)
{
	sst_uring_finish(to_sst_call(entry));
}

static void sst_file_free(struct mimic_ledger *ledger)
{
	kfree(container_of(ledger, struct sst_file, ledger));
}

static const struct mimic_ledger_ops sst_file_ledger_ops = {
	.wake = sst_file_wake,
	.finish = sst_file_finish,
	.free_entry = sst_call_free,
	.free = sst_file_free,
};

/**
 * sst_file_new() - make an open file
 * @dev: outlives it
 *
 * Return: a file for sst_file_close(), or NULL.
 */
struct sst_file *sst_file_new(struct sst_device *dev)
{
	struct sst_file *file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);

	if (!file)
		return NULL;
	mimic_ledger_init(&file->ledger, &sst_file_ledger_ops,
			max(READ_ONCE(max_in_flight), 1u));
	file->dev = dev;
	file->timeout_ms = READ_ONCE(timeout_ms);
	init_waitqueue_head(&file->waitq);
	INIT_LIST_HEAD(&file->subscription);
	mutex_init(&file->buffers_lock);
	return file;
}

/**
 * sst_file_close() - nobody uses a file any more
 * @file: freed when the device has given its calls back
 *
 * Context: may sleep; @file->dev is still there.
 */
void sst_file_close(struct sst_file *file)
{
	sst_events_unsubscribe(file);
	sst_buffers_close(file);
	mimic_ledger_close(&file->ledger);
}
