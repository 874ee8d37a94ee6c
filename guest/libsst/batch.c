/* SPDX-License-Identifier: Apache-2.0 */
/* libsst: many requests in flight, events, shared memory. */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "internal.h"

/* An ioctl: 0 or a negative errno. */
static int call(struct sst *sst, unsigned long request, void *argument)
{
	return sst->system->ioctl(sst->fd, request, argument) ? -errno : 0;
}

int sst_get_device_info(struct sst *sst, struct sst_info *info)
{
	*info = (struct sst_info){ .size = sizeof(*info) };
	return call(sst, SST_IOC_INFO, info);
}

int sst_set_timeout(struct sst *sst, uint32_t timeout_ms)
{
	struct sst_timeout timeout = { .size = sizeof(timeout),
				       .timeout_ms = timeout_ms };

	return call(sst, SST_IOC_TIMEOUT, &timeout);
}

int sst_send_batch(struct sst *sst, struct sst_batch *batch)
{
	int ret;

	batch->size = sizeof(*batch);
	batch->entry_size = sizeof(struct sst_batch_entry);
	ret = call(sst, SST_IOC_SUBMIT, batch);
	return ret ? ret : (int)batch->submitted;
}

int sst_send(struct sst *sst, const struct SSTRequest *requests, size_t size,
	     uint32_t count)
{
	struct sst_batch_entry *entries;
	struct sst_batch batch = { .count = count };
	uint32_t i;
	int ret;

	if (!count || count > SST_MAX_BATCH)
		return -EINVAL;
	entries = calloc(count, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		entries[i].request = (uintptr_t)requests + i * size;
		entries[i].request_bytes = sizeof(*requests);
	}
	batch.entries = (uintptr_t)entries;
	ret = sst_send_batch(sst, &batch);
	free(entries);
	return ret;
}

int sst_receive(struct sst *sst, struct sst_completion *completions,
		struct SSTResponse *responses, uint32_t count, uint32_t least)
{
	struct sst_reap reap = {
		.size = sizeof(reap),
		.count = count,
		.completion_size = sizeof(*completions),
		.completions = (uintptr_t)completions,
		.responses = (uintptr_t)responses,
		.min_count = least,
	};
	int ret = call(sst, SST_IOC_REAP, &reap);

	return ret ? ret : (int)reap.reaped;
}

int sst_subscribe(struct sst *sst)
{
	struct sst_events events = { .size = sizeof(events),
				     .flags = SST_EVENTS_SUBSCRIBE };

	return call(sst, SST_IOC_EVENTS, &events);
}

int sst_receive_events(struct sst *sst, struct SSTEvent *into, uint32_t count)
{
	struct sst_events events = { .size = sizeof(events),
				     .count = count,
				     .events = (uintptr_t)into };
	int ret = call(sst, SST_IOC_EVENTS, &events);

	return ret ? ret : (int)events.taken;
}

int sst_share(struct sst *sst, size_t bytes, struct sst_shared *shared)
{
	struct sst_buffer_create create = { .size = sizeof(create),
					    .bytes = bytes };
	struct sst_buffer_destroy destroy = { .size = sizeof(destroy) };
	int ret = call(sst, SST_IOC_BUFFER_CREATE, &create);

	if (ret)
		return ret;
	shared->handle = create.handle;
	shared->bytes = create.bytes;
	shared->data = sst->system->mmap(shared->bytes, sst->fd,
					 (off_t)create.mmap_offset);
	if (shared->data != MAP_FAILED)
		return 0;
	ret = -errno;
	destroy.handle = create.handle;
	call(sst, SST_IOC_BUFFER_DESTROY, &destroy);
	return ret;
}

void sst_unshare(struct sst *sst, struct sst_shared *shared)
{
	struct sst_buffer_destroy destroy = { .size = sizeof(destroy),
					      .handle = shared->handle };

	sst->system->munmap(shared->data, shared->bytes);
	call(sst, SST_IOC_BUFFER_DESTROY, &destroy);
	shared->data = NULL;
}
