/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test of libsst against a device that this file plays: what the library asks
 * of the system, and what it makes of the answers.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

#define CHECK(condition)                                                      \
	do {                                                                  \
		if (!(condition)) {                                           \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,    \
				#condition);                                  \
			exit(1);                                              \
		}                                                             \
	} while (0)

/* The device: some memory, the last request, and errors to give. */
static struct {
	char path[256];
	int flags, open, maps;
	uint8_t memory[20000];
	struct SSTResponse answer;
	int has_answer;
	int write_error, read_error, read_interrupts, other_user_data;
	uint32_t status;
	struct sst_batch batch;
	struct SSTRequest last;
	struct sst_timeout timeout;
	uint32_t destroyed;
} fake;

static int fake_open(const char *path, int flags)
{
	snprintf(fake.path, sizeof(fake.path), "%s", path);
	fake.flags = flags;
	if (strstr(path, "sst7")) {
		errno = ENOENT;
		return -1;
	}
	fake.open++;
	return 42;
}

static int fake_close(int fd)
{
	CHECK(fd == 42);
	fake.open--;
	return 0;
}

static void fake_answer(const struct SSTRequest *request)
{
	const uint64_t address = request->payload.memory.addr;
	const uint32_t size = request->payload.memory.size;
	struct SSTResponse *answer = &fake.answer;

	memset(answer, 0, sizeof(*answer));
	answer->status = fake.status;
	answer->user_data = request->user_data + (uint64_t)fake.other_user_data;
	if (request->type == SST_REQ_ECHO)
		memcpy(answer->payload.data, request->payload.data,
		       SST_MAX_DATA_SIZE);
	if (request->type == SST_REQ_COMPUTE)
		answer->result = request->payload.compute.compute_units * 100 +
				 request->payload.compute.latency_model;
	if (request->type == SST_REQ_CONFIGURE)
		answer->result = request->payload.config.value +
				 request->payload.config.param_id;
	if (request->type != SST_REQ_READ && request->type != SST_REQ_WRITE)
		return;
	CHECK(address + size <= sizeof(fake.memory));
	if (request->type == SST_REQ_READ) {
		CHECK(size <= SST_MAX_DATA_SIZE);
		memcpy(answer->payload.data, fake.memory + address, size);
	} else {
		CHECK(size <= SST_MAX_DATA_SIZE - 16);
		memcpy(fake.memory + address, request->payload.data + 16, size);
	}
}

static ssize_t fake_write(int fd, const void *data, size_t bytes)
{
	CHECK(fd == 42 && bytes == sizeof(struct SSTRequest));
	if (fake.write_error) {
		errno = fake.write_error;
		return -1;
	}
	memcpy(&fake.last, data, bytes);
	fake_answer(&fake.last);
	fake.has_answer = 1;
	return (ssize_t)bytes;
}

static ssize_t fake_read(int fd, void *data, size_t bytes)
{
	CHECK(fd == 42 && bytes == sizeof(struct SSTResponse));
	errno = fake.read_interrupts ? EINTR : fake.read_error;
	if (fake.read_interrupts) {
		fake.read_interrupts--;
		return -1;
	}
	if (fake.read_error)
		return -1;
	CHECK(fake.has_answer);
	fake.has_answer = 0;
	memcpy(data, &fake.answer, bytes);
	return (ssize_t)bytes;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
	CHECK(fd == 42 && *(uint32_t *)argument == _IOC_SIZE(request));
	switch (request) {
	case SST_IOC_INFO:
		((struct sst_info *)argument)->queue_pairs = 4;
		return 0;
	case SST_IOC_TIMEOUT:
		fake.timeout = *(struct sst_timeout *)argument;
		return 0;
	case SST_IOC_SUBMIT: {
		struct sst_batch *batch = argument;
		const struct sst_batch_entry *entries =
			(void *)(uintptr_t)batch->entries;

		CHECK(batch->entry_size == sizeof(*entries));
		fake.batch = *batch;
		memcpy(&fake.last,
		       (void *)(uintptr_t)entries[batch->count - 1].request,
		       entries[batch->count - 1].request_bytes);
		batch->submitted = batch->count - 1;
		return 0;
	}
	case SST_IOC_REAP: {
		struct sst_reap *reap = argument;
		struct sst_completion *completions =
			(void *)(uintptr_t)reap->completions;

		CHECK(reap->completion_size == sizeof(*completions));
		if (!reap->count) {
			errno = EINVAL;
			return -1;
		}
		completions[0].user_data = 77;
		reap->reaped = reap->min_count;
		return 0;
	}
	case SST_IOC_EVENTS: {
		struct sst_events *events = argument;

		if (!events->count) {
			CHECK(events->flags == SST_EVENTS_SUBSCRIBE);
			return 0;
		}
		((struct SSTEvent *)(uintptr_t)events->events)->data = 5;
		events->taken = 1;
		return 0;
	}
	case SST_IOC_BUFFER_CREATE: {
		struct sst_buffer_create *create = argument;

		create->handle = 3;
		create->bytes = (create->bytes + 4095) & ~4095ull;
		create->mmap_offset = 3 << 20;
		return 0;
	}
	case SST_IOC_BUFFER_DESTROY:
		fake.destroyed = ((struct sst_buffer_destroy *)argument)->handle;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static void *fake_mmap(size_t size, int fd, off_t offset)
{
	CHECK(fd == 42 && offset == 3 << 20);
	errno = ENOMEM;
	if (size > 1 << 20)
		return MAP_FAILED;
	fake.maps++;
	return malloc(size);
}

static int fake_munmap(void *data, size_t size)
{
	CHECK(size % 4096 == 0);
	fake.maps--;
	free(data);
	return 0;
}

static const struct sst_system fake_system = {
	fake_open,  fake_close, fake_read,   fake_write,
	fake_ioctl, fake_mmap,	fake_munmap,
};

static struct sst *open_fake(const char *name, unsigned int flags)
{
	struct sst *sst = NULL;

	CHECK(!sst_open(name, flags, &sst));
	CHECK(sst_fd(sst) == 42);
	return sst;
}

static void test_open(void)
{
	struct sst *sst = NULL;

	sst_close(open_fake(NULL, 0));
	CHECK(!strcmp(fake.path, "/dev/sst0") && !(fake.flags & O_NONBLOCK));
	sst_close(open_fake("3", SST_OPEN_NONBLOCK));
	CHECK(!strcmp(fake.path, "/dev/sst3") && fake.flags & O_NONBLOCK);
	sst_close(open_fake("sst12", 0));
	CHECK(!strcmp(fake.path, "/dev/sst12"));
	sst_close(open_fake("/tmp/x", 0));
	CHECK(!strcmp(fake.path, "/tmp/x"));
	CHECK(sst_open("sst7", 0, &sst) == -ENOENT && !sst);
	CHECK(sst_open("sst0", 8, &sst) == -EINVAL && !sst);
	sst_close(NULL);
}

static void test_requests(struct sst *sst)
{
	struct SSTResponse response;

	CHECK(!sst_noop(sst, &response) && fake.last.type == SST_REQ_NOOP);
	CHECK(!sst_reset(sst, &response) && fake.last.type == SST_REQ_RESET);
	CHECK(!sst_get_info(sst, &response) &&
	      fake.last.type == SST_REQ_GET_INFO);
	CHECK(!sst_compute(sst, 7, 2, &response) && response.result == 702);
	CHECK(!sst_configure(sst, 3, 40, &response) && response.result == 43);
	CHECK(!sst_echo(sst, "abc", 4, &response) &&
	      !strcmp((char *)response.payload.data, "abc"));
	CHECK(sst_echo(sst, "", SST_MAX_DATA_SIZE + 1, &response) == -EINVAL);
	fake.other_user_data = 1;
	CHECK(sst_noop(sst, &response) == -EIO);
	fake.other_user_data = 0;
}

static void test_errors(struct sst *sst)
{
	struct SSTResponse response;

	fake.write_error = ETIMEDOUT;
	CHECK(sst_noop(sst, &response) == -ETIMEDOUT);
	fake.write_error = 0;
	fake.read_error = ENODEV;
	CHECK(sst_noop(sst, &response) == -ENODEV);
	fake.read_error = 0;
	fake.read_interrupts = 3;
	CHECK(!sst_noop(sst, &response));
	CHECK(fake.read_interrupts == 0);
}

static void test_memory(struct sst *sst)
{
	static uint8_t out[10000], in[10000];
	size_t i;

	for (i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 13);
	CHECK(!sst_write_memory(sst, 5000, out, sizeof(out)));
	CHECK(!memcmp(fake.memory + 5000, out, sizeof(out)));
	CHECK(!sst_read_memory(sst, 5000, in, sizeof(in)));
	CHECK(!memcmp(in, out, sizeof(out)));
	CHECK(!sst_read_memory(sst, 0, in, 0));
	fake.status = SST_STATUS_INVALID;
	CHECK(sst_read_memory(sst, 0, in, 8) == SST_STATUS_INVALID);
	fake.status = SST_STATUS_OK;
}

static void test_batches(struct sst *sst)
{
	struct {
		struct SSTRequest request;
		uint32_t mine;
	} things[5] = {};
	struct sst_completion completions[8] = {};
	struct SSTEvent event;

	things[4].request.user_data = 99;
	CHECK(sst_send(sst, &things[0].request, sizeof(things[0]), 5) == 4);
	CHECK(fake.batch.count == 5 && fake.last.user_data == 99);
	CHECK(sst_send(sst, NULL, 0, 0) == -EINVAL);
	CHECK(sst_send(sst, NULL, 0, SST_MAX_BATCH + 1) == -EINVAL);
	CHECK(sst_receive(sst, completions, NULL, 8, 6) == 6);
	CHECK(completions[0].user_data == 77);
	CHECK(sst_receive(sst, completions, NULL, 0, 0) == -EINVAL);
	CHECK(!sst_subscribe(sst));
	CHECK(sst_receive_events(sst, &event, 1) == 1 && event.data == 5);
}

static void test_rest(struct sst *sst)
{
	struct sst_shared shared;
	struct sst_info info;

	CHECK(!sst_get_device_info(sst, &info) && info.queue_pairs == 4);
	CHECK(!sst_set_timeout(sst, 123) && fake.timeout.timeout_ms == 123);
	CHECK(!sst_share(sst, 5000, &shared) && shared.bytes == 8192 &&
	      shared.handle == 3 && fake.maps == 1);
	memset(shared.data, 1, shared.bytes);
	sst_unshare(sst, &shared);
	CHECK(fake.maps == 0 && fake.destroyed == 3);
	fake.destroyed = 0;
	CHECK(sst_share(sst, 2 << 20, &shared) == -ENOMEM);
	CHECK(fake.destroyed == 3);
	CHECK(!strcmp(sst_type_name(SST_REQ_CONFIGURE), "CONFIGURE"));
	CHECK(!strcmp(sst_status_name(SST_STATUS_NO_DEVICE), "NO_DEVICE"));
	CHECK(!strcmp(sst_type_name(8), "?") && !strcmp(sst_status_name(6), "?"));
}

int main(void)
{
	struct sst *sst;

	sst_system = &fake_system;
	test_open();
	sst = open_fake("sst0", 0);
	test_requests(sst);
	test_errors(sst);
	test_memory(sst);
	test_batches(sst);
	test_rest(sst);
	sst_close(sst);
	CHECK(fake.open == 0);
	printf("libsst: all tests passed\n");
	return 0;
}
