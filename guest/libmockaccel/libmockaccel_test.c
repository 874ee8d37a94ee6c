// SPDX-License-Identifier: Apache-2.0
/*
 * Test of libmockaccel without a kernel: a small device here answers the
 * ioctls, executes operations at once and writes completions as the real one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libmockaccel.h"
#include "system.h"

#define ENTRIES 4u
#define PAGE 4096u

static int failures;

#define CHECK(condition)                                                   \
	do {                                                               \
		if (!(condition)) {                                        \
			failures++;                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
				#condition);                               \
		}                                                          \
	} while (0)

/* The device: one queue, up to two buffers. */
static struct {
	char path[64];
	int fail; /* errno of the next ioctl, 0: none */
	int open_files;
	int mappings;
	unsigned int buffers;
	struct mock_accel_completion ring[ENTRIES];
	struct mock_accel_operation last;
	uint32_t submitted, consumed, origin;
	unsigned int silent; /* operations that do not complete */
} fake;

static int fake_open(const char *path, int flags)
{
	(void)flags;
	snprintf(fake.path, sizeof(fake.path), "%s", path);
	if (fake.fail) {
		errno = fake.fail;
		return -1;
	}
	fake.open_files++;
	return 7;
}

static int fake_close(int fd)
{
	CHECK(fd == 7);
	fake.open_files--;
	return 0;
}

static void fake_complete(uint64_t cookie, uint32_t bytes)
{
	const uint32_t place = fake.submitted - fake.origin;

	fake.ring[place % ENTRIES] = (struct mock_accel_completion){
		.cookie = cookie,
		.bytes = bytes,
		.phase = (place / ENTRIES & 1) ^ 1,
	};
}

static void fake_submit(struct mock_accel_submit *submit)
{
	const struct mock_accel_operation *operations =
		(const void *)(uintptr_t)submit->operations;

	CHECK(submit->size == sizeof(*submit) && !submit->reserved);
	CHECK(submit->operation_bytes == sizeof(*operations));
	fake.consumed = submit->consumed;
	submit->taken = 0;
	while (submit->taken < submit->count &&
	       fake.submitted - fake.consumed < ENTRIES) {
		fake.last = operations[submit->taken++];
		if (!fake.silent)
			fake_complete(fake.last.cookie, fake.last.length);
		fake.submitted++;
	}
	submit->submitted = fake.submitted;
	submit->origin = fake.origin;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
	CHECK(fd == 7);
	if (fake.fail) {
		errno = fake.fail;
		return -1;
	}
	if (request == MOCK_ACCEL_IOC_QUEUE_CREATE) {
		struct mock_accel_queue_create *create = argument;

		CHECK(create->size == sizeof(*create));
		CHECK(create->entries == ENTRIES);
		create->queue = 1;
		create->completions_bytes = sizeof(fake.ring);
	} else if (request == MOCK_ACCEL_IOC_BUFFER_CREATE) {
		struct mock_accel_buffer_create *create = argument;

		CHECK(create->size == sizeof(*create) && !create->flags);
		create->buffer = ++fake.buffers;
		create->bytes = PAGE;
		create->mmap_offset = 1;
	} else if (request == MOCK_ACCEL_IOC_BUFFER_DESTROY) {
		const struct mock_accel_destroy *destroy = argument;

		CHECK(destroy->size == sizeof(*destroy) && !destroy->flags &&
		      !destroy->reserved);
		fake.buffers--;
	} else if (request == MOCK_ACCEL_IOC_SUBMIT) {
		fake_submit(argument);
	} else if (request == MOCK_ACCEL_IOC_WAIT) {
		struct mock_accel_wait_queue *wait = argument;

		CHECK(wait->size == sizeof(*wait) && !wait->flags);
		wait->completed = fake.submitted;
	}
	return 0;
}

static void *fake_mmap(size_t size, int protection, int fd, off_t offset)
{
	CHECK(fd == 7);
	if (offset == 2) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	fake.mappings++;
	/* A completion ring is never writable. */
	CHECK(offset || protection == PROT_READ);
	return offset ? calloc(1, size) : fake.ring;
}

static int fake_munmap(void *data, size_t size)
{
	(void)size;
	fake.mappings--;
	if (data != fake.ring)
		free(data);
	return 0;
}

static const struct mockaccel_system fake_system = {
	.open = fake_open,
	.close = fake_close,
	.ioctl = fake_ioctl,
	.mmap = fake_mmap,
	.munmap = fake_munmap,
};

static void test_names(void)
{
	static const char *const names[][2] = {
		{ NULL, "/dev/mock-accel0" },
		{ "3", "/dev/mock-accel3" },
		{ "mock1_vf2", "/dev/mock-accel1_vf2" },
		{ "mock-accel4", "/dev/mock-accel4" },
		{ "/dev/x", "/dev/x" },
	};
	struct mockaccel *device;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECK(!mockaccel_open(names[i][0], &device));
		CHECK(!strcmp(fake.path, names[i][1]));
		mockaccel_close(device);
	}
	CHECK(mockaccel_open("gpu0", &device) == -ENOENT);
	CHECK(mockaccel_open("ffff:ff:1f.7", &device) == -ENOENT);
	fake.fail = EACCES;
	CHECK(mockaccel_open("0", &device) == -EACCES);
	fake.fail = 0;
	CHECK(fake.open_files == 0);
}

static void test_arguments(struct mockaccel_queue *queue,
			   struct mockaccel_buffer *buffer)
{
	/* Ranges are checked before anything is sent. */
	CHECK(mockaccel_copy(queue, buffer, 1, buffer, 0, PAGE, 0) == -EINVAL);
	CHECK(mockaccel_copy(queue, buffer, 0, buffer, PAGE + 1, 0, 0) ==
	      -EINVAL);
	CHECK(mockaccel_fill(queue, buffer, UINT64_MAX, 0, 2, 0) == -EINVAL);
	CHECK(mockaccel_wait(queue, 1, 0) == -EINVAL);
	for (int i = 0; i < MOCK_ACCEL_MAX_SUBMIT; i++)
		CHECK(!mockaccel_nop(queue, 0));
	CHECK(mockaccel_nop(queue, 0) == -ENOBUFS);
	fake.fail = EAGAIN;
	CHECK(mockaccel_flush(queue) == -EAGAIN);
	fake.fail = 0;
	mockaccel_discard(queue);
	CHECK(mockaccel_flush(queue) == 0);
}

/* More operations than the ring has entries, through three turns of it. */
static void test_turns(struct mockaccel_queue *queue,
		       struct mockaccel_buffer *buffer)
{
	struct mockaccel_done done[ENTRIES + 1];
	uint64_t next = 100;

	for (uint64_t i = 0; i < 3 * ENTRIES; i++)
		CHECK(!mockaccel_fill(queue, i & 1 ? NULL : buffer, 8, i, 16,
				      100 + i));
	for (int turn = 3; turn-- > 0;) {
		CHECK(mockaccel_flush(queue) == turn * (int)ENTRIES);
		CHECK(mockaccel_in_flight(queue) == ENTRIES);
		CHECK(mockaccel_wait(queue, 1, 0) == ENTRIES);
		CHECK(mockaccel_reap(queue, done, ENTRIES + 1) == ENTRIES);
		for (unsigned int i = 0; i < ENTRIES; i++)
			CHECK(done[i].cookie == next++ && done[i].bytes == 16 &&
			      done[i].status == 0);
		CHECK(mockaccel_reap(queue, done, 1) == 0);
	}
	CHECK(fake.last.flags == MOCK_ACCEL_OPERATION_DST_LOCAL);
	CHECK(fake.last.dst_buffer == 0 && fake.last.dst == 8);
}

/* After a restart places are counted from another operation on. */
static void test_restart(struct mockaccel_queue *queue)
{
	struct mockaccel_done done;

	/* Two more, so that the restart is not at the ring's own beginning. */
	CHECK(!mockaccel_nop(queue, 3) && !mockaccel_nop(queue, 4));
	CHECK(mockaccel_flush(queue) == 0);
	CHECK(mockaccel_reap(queue, &done, 1) == 1);
	CHECK(mockaccel_reap(queue, &done, 1) == 1);
	memset(fake.ring, 0, sizeof(fake.ring));
	fake.origin = fake.submitted;
	CHECK(!mockaccel_nop(queue, 5));
	CHECK(mockaccel_flush(queue) == 0);
	CHECK(mockaccel_reap(queue, &done, 1) == 1 && done.cookie == 5);
	fake.silent = 1;
	CHECK(!mockaccel_nop(queue, 6));
	CHECK(mockaccel_flush(queue) == 0);
	CHECK(mockaccel_reap(queue, &done, 1) == 0);
	CHECK(mockaccel_in_flight(queue) == 1);
	fake.silent = 0;
}

int main(void)
{
	struct mockaccel_buffer *buffer;
	struct mockaccel_queue *queue;
	struct mockaccel *device;

	mockaccel_system = &fake_system;
	test_names();
	CHECK(!mockaccel_open("0", &device));
	CHECK(mockaccel_buffer_create(device, 0, &buffer) == -EINVAL);
	CHECK(mockaccel_buffer_create(device, MOCK_ACCEL_MAX_BUFFER_BYTES + 1,
				      &buffer) == -EINVAL);
	CHECK(!mockaccel_buffer_create(device, 10, &buffer));
	CHECK(buffer->size == PAGE && buffer->handle == 1);
	CHECK(!mockaccel_queue_create(device, ENTRIES, 0, &queue));
	test_arguments(queue, buffer);
	test_turns(queue, buffer);
	test_restart(queue);
	CHECK(!mockaccel_buffer_destroy(device, buffer));
	CHECK(fake.buffers == 0);
	mockaccel_close(device);
	CHECK(fake.open_files == 0 && fake.mappings == 0);
	CHECK(!strcmp(mockaccel_status_name(7), "ABORTED"));
	CHECK(!strcmp(mockaccel_status_name(-1), "unknown"));
	if (failures)
		return 1;
	puts("libmockaccel: all checks hold");
	return 0;
}
