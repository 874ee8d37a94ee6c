// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: open files
 */

#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "vgpu_call.h"
#include "vgpu_file.h"

static unsigned int timeout_ms = 60000;
module_param(timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms,
		 "time that a request may take, of files opened later (0: any)");

static unsigned int max_in_flight = 1024;
module_param(max_in_flight, uint, 0644);
MODULE_PARM_DESC(max_in_flight,
		 "requests of a file, with answers that were not taken; of files opened later");

/* Room for the answer to a write(), until the file says otherwise; arbitrary. */
#define VGPU_RESPONSE_BYTES 65536

static void vgpu_file_wake(struct mimic_ledger *ledger)
{
	wake_up_all(&container_of(ledger, struct vgpu_file, ledger)->waitq);
}

static void vgpu_file_free(struct mimic_ledger *ledger)
{
	kfree(container_of(ledger, struct vgpu_file, ledger));
}

/* No entry is direct, so there is nothing to finish. */
static const struct mimic_ledger_ops vgpu_file_ledger_ops = {
	.wake = vgpu_file_wake,
	.free_entry = vgpu_call_free,
	.free = vgpu_file_free,
};

/**
 * vgpu_file_new() - make an open file
 * @dev: outlives it
 *
 * Return: a file for vgpu_file_close(), or NULL.
 */
struct vgpu_file *vgpu_file_new(struct vgpu_device *dev)
{
	struct vgpu_file *file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);

	if (!file)
		return NULL;
	mimic_ledger_init(&file->ledger, &vgpu_file_ledger_ops,
			  max(READ_ONCE(max_in_flight), 1u));
	file->dev = dev;
	file->timeout_ms = READ_ONCE(timeout_ms);
	file->response_bytes = min_t(u32, VGPU_RESPONSE_BYTES,
				     vgpu_device_max_bytes(dev));
	init_waitqueue_head(&file->waitq);
	mutex_init(&file->buffers_lock);
	return file;
}

/**
 * vgpu_file_close() - nobody uses a file any more
 * @file: freed when the device has given its calls back
 *
 * Context: may sleep; @file->dev is still there.
 */
void vgpu_file_close(struct vgpu_file *file)
{
	vgpu_buffers_close(file);
	mimic_ledger_close(&file->ledger);
}
