/* SPDX-License-Identifier: Apache-2.0 */
/* sst-test: what the driver has beyond write() and read() of Linux SST. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "test.h"

/* Requests in flight; less than the smallest ring has. */
#define MANY 48

/* Long enough for any machine; what a test waits for is an event. */
#define PATIENCE_MS 120000

static bool wait_for(struct sst *sst, short events)
{
	struct pollfd pollfd = { .fd = sst_fd(sst), .events = events };

	return poll(&pollfd, 1, PATIENCE_MS) == 1 && pollfd.revents & events;
}

/* O_NONBLOCK: many by write(), answers by poll() and read(). */
static void test_nonblock(const struct options *options)
{
	struct SSTRequest *request = calloc(1, sizeof(*request));
	struct SSTResponse *response = calloc(1, sizeof(*response));
	uint64_t seen = 0;
	struct sst *sst;
	unsigned int i;
	ssize_t done = -1;
	int ret = sst_open(options->device, SST_OPEN_NONBLOCK, &sst);

	if (ret || !request || !response) {
		report("nonblock", false, "%s", strerror(-ret));
		goto out;
	}
	done = read(sst_fd(sst), response, sizeof(*response));
	report("nonblock_nothing", done == -1 && errno == EAGAIN, "%s",
	       strerror(errno));
	for (i = 0; i < MANY; i++) {
		request->user_data = i;
		do {
			done = write(sst_fd(sst), request, sizeof(*request));
		} while (done < 0 && errno == EAGAIN && wait_for(sst, POLLOUT));
		if (done < 0)
			break;
	}
	while (done >= 0 && seen != (1ull << MANY) - 1 &&
	       wait_for(sst, POLLIN)) {
		done = read(sst_fd(sst), response, sizeof(*response));
		if (done < 0 || response->user_data >= MANY ||
		    seen & 1ull << response->user_data)
			break;
		seen |= 1ull << response->user_data;
	}
	report("nonblock", seen == (1ull << MANY) - 1, "answers %" PRIx64, seen);
	sst_close(sst);
out:
	free(request);
	free(response);
}

/* Requests and responses in memory that the device reads and writes. */
static void test_shared(struct sst *sst)
{
	struct sst_batch_entry entries[MANY] = {};
	struct sst_completion completions[MANY];
	struct sst_batch batch = { .count = MANY,
				   .entries = (uintptr_t)entries };
	/* Multiples of 32 that lie across pages. */
	const size_t request_room = 4128, response_room = 4128;
	const size_t slot = request_room + response_room;
	struct sst_shared shared;
	unsigned int i, good = 0;
	int ret = sst_share(sst, MANY * slot, &shared);

	if (ret)
		return (void)report("shared", false, "%s", strerror(-ret));
	for (i = 0; i < MANY; i++) {
		struct SSTRequest *request =
			(void *)((char *)shared.data + i * slot);

		request->type = SST_REQ_ECHO;
		request->user_data = i;
		memset(request->payload.data, (int)i + 1, SST_MAX_DATA_SIZE);
		entries[i].flags = SST_ENTRY_MAPPED;
		entries[i].buffer = shared.handle;
		entries[i].request = i * slot;
		entries[i].request_bytes = sizeof(*request);
		entries[i].response = i * slot + request_room;
		entries[i].response_bytes = sizeof(struct SSTResponse);
	}
	ret = sst_send_batch(sst, &batch);
	if (ret == MANY)
		ret = sst_receive(sst, completions, NULL, MANY, MANY);
	for (i = 0; ret == MANY && i < MANY; i++) {
		const struct sst_completion *completion = &completions[i];
		const struct SSTResponse *response =
			(void *)((char *)shared.data + completion->response);

		good += !completion->error && !completion->status &&
			completion->buffer == shared.handle &&
			response->payload.data[0] ==
				completion->user_data + 1 &&
			response->payload.data[SST_MAX_DATA_SIZE - 1] ==
				completion->user_data + 1;
	}
	report("shared", good == MANY, "%u right, last call %d", good, ret);
	sst_unshare(sst, &shared);
}

/* Entries that the driver must refuse, with nothing sent. */
static void test_shared_wrong(struct sst *sst)
{
	const struct sst_batch_entry right = {
		.flags = SST_ENTRY_MAPPED,
		.request_bytes = SST_REQUEST_HEADER_SIZE,
		.response = 4096,
		.response_bytes = SST_RESPONSE_HEADER_SIZE,
	};
	struct sst_batch_entry wrong[10];
	struct sst_shared shared;
	unsigned int i, refused = 0;
	int ret = sst_share(sst, 8192, &shared);

	if (ret)
		return (void)report("shared_wrong", false, "%s", strerror(-ret));
	for (i = 0; i < 10; i++) {
		wrong[i] = right;
		wrong[i].buffer = shared.handle;
	}
	wrong[0].buffer = shared.handle + 1;
	wrong[1].buffer = 0;
	wrong[2].request = 8192 - SST_REQUEST_HEADER_SIZE + 8;
	wrong[3].request = 4;
	wrong[4].response = 16;
	wrong[5].response = UINT64_MAX - 31;
	wrong[6].request_bytes = SST_REQUEST_HEADER_SIZE - 1;
	wrong[7].request_bytes = sizeof(struct SSTRequest) + 1;
	wrong[8].response_bytes = SST_RESPONSE_HEADER_SIZE - 1;
	wrong[9].flags = 1u << 31;
	for (i = 0; i < 10; i++) {
		struct sst_batch batch = { .count = 1,
					   .entries = (uintptr_t)&wrong[i] };

		refused += sst_send_batch(sst, &batch) == -EINVAL;
	}
	report("shared_wrong", refused == 10, "%u of 10 refused", refused);
	sst_unshare(sst, &shared);
}

/* Takes events up to one that is no notice: that of a reset may come late. */
static int receive_completion(struct sst *sst, struct SSTEvent *event)
{
	int ret;

	do {
		ret = sst_receive_events(sst, event, 1);
	} while (ret == 1 && event->type == SST_EVENT_NOTIFICATION);
	return ret;
}

/* An event for a completion, by each of the two ways. */
static void test_events(struct sst *sst)
{
	struct SSTRequest *request = calloc(1, sizeof(*request));
	struct SSTResponse *response = calloc(1, sizeof(*response));
	struct SSTEvent event = { .type = ~0u };
	int ret = sst_subscribe(sst);

	if (ret == -EOPNOTSUPP) {
		report_skip("events", "the device has none");
		goto out;
	}
	request->type = SST_REQ_NOOP;
	request->flags = SST_FLAG_EVENT;
	ret = ret ? ret : sst_ask(sst, request, response);
	if (!ret)
		ret = receive_completion(sst, &event);
	report("events_ioctl",
	       ret == 1 && event.type == SST_EVENT_COMPLETION, "%s, type %u",
	       ret < 0 ? strerror(-ret) : "no error", event.type);
	event.type = ~0u;
	ret = sst_ask(sst, request, response);
	if (!ret && wait_for(sst, POLLPRI))
		ret = (int)read(sst_fd(sst), &event, sizeof(event));
	report("events_read",
	       ret == sizeof(event) && event.type == SST_EVENT_COMPLETION,
	       "%d, %s, type %u", ret, strerror(errno), event.type);
out:
	free(request);
	free(response);
}

/* Arguments of ioctls that do not fit. */
static void test_ioctls(struct sst *sst)
{
	const int fd = sst_fd(sst);
	struct sst_info info = { .size = 4 };
	struct sst_reap reap = { .size = sizeof(reap) };
	bool ok;

	ok = ioctl(fd, SST_IOC_INFO, &info) == -1 && errno == EINVAL;
	report("ioctl_short", ok, "%s", strerror(errno));
	ok = ioctl(fd, _IO(SST_IOC_MAGIC, 63), NULL) == -1 && errno == ENOTTY;
	report("ioctl_unknown", ok, "%s", strerror(errno));
	ok = ioctl(fd, SST_IOC_REAP, &reap) == -1 && errno == EINVAL;
	report("reap_none", ok, "%s", strerror(errno));
	ok = !sst_get_device_info(sst, &info) && info.queue_pairs &&
	     info.queue_entries && info.version == SST_VERSION;
	report("info", ok, "version %x", info.version);
}

void test_beyond(const struct options *options)
{
	struct sst *sst;
	int ret = sst_open(options->device, 0, &sst);

	if (ret)
		return (void)report("open", false, "%s", strerror(-ret));
	test_ioctls(sst);
	test_shared(sst);
	test_shared_wrong(sst);
	test_events(sst);
	sst_close(sst);
	test_nonblock(options);
}
