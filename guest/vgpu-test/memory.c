/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-test: what Mimic's driver has beyond the registers: large requests,
 * memory shared with the device, write() and read(), poll(), and what it says of
 * requests that are wrong.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

/* Of the largest request less room for its head; what a mediator may limit. */
#define LARGE_BYTES ((16u << 20) - 4096)

/*
 * Of a job whose answer comes too late: longer than a loaded guest needs to find
 * that it has waited long enough; arbitrary.
 */
#define LATE_NS 1500000000u

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

/* One request with 16 MiB and one response. */
static void test_large(struct vgpu *vgpu, uint64_t handle, size_t size)
{
	uint8_t *request = malloc(VGPU_MAX_MESSAGE);
	uint8_t *data = malloc(size);
	struct vgpu_message message;
	struct vgpu_answer answer;
	size_t bytes, i;
	int ret;

	if (!request || !data) {
		report("large", false, "no memory");
		goto out;
	}
	for (i = 0; i < size; i++)
		data[i] = pattern(i);
	vgpu_message_begin(&message, request, VGPU_MAX_MESSAGE,
			   VGPU_OP_MEM_WRITE);
	vgpu_message_u64(&message, handle);
	vgpu_message_u64(&message, 0);
	vgpu_message_data(&message, data, size);
	ret = vgpu_execute(vgpu, request, (size_t)vgpu_message_end(&message),
			   data, 64, &bytes, 60000);
	if (ret == -ENOMEM) {
		report_skip("large write", "no 16 MiB in one piece");
		goto out;
	}
	if (!ret && !vgpu_parse(data, bytes, &answer))
		ret = (int)answer.status;
	if (!report_result("large write", ret, 0))
		goto out;
	vgpu_message_begin(&message, data, 256, VGPU_OP_MEM_READ);
	vgpu_message_u64(&message, handle);
	vgpu_message_u64(&message, 0);
	vgpu_message_u64(&message, size);
	ret = vgpu_execute(vgpu, data, (size_t)vgpu_message_end(&message),
			   request, VGPU_MAX_MESSAGE, &bytes, 60000);
	if (!ret)
		ret = vgpu_parse(request, bytes, &answer);
	if (!report_result("large read", ret ? ret : (int)answer.status, 0))
		goto out;
	for (i = 0; i < answer.data_bytes && answer.data[i] == pattern(i); i++)
		;
	report("large data came back", i == size && answer.data_bytes == size,
	       "byte %zu of %zu", i, answer.data_bytes);
out:
	free(request);
	free(data);
}

/* Requests and responses in memory that both share; nothing is copied. */
static void test_shared(struct vgpu *vgpu)
{
	const size_t half = 32768;
	struct vgpu_shared shared;
	struct vgpu_submit submit = { .size = sizeof(submit),
				      .flags = VGPU_SUBMIT_MAPPED,
				      .response = half,
				      .response_bytes = VGPU_BUFFER_SIZE,
				      .user_data = 42 };
	struct vgpu_completion completion;
	struct vgpu_message message;
	struct vgpu_answer answer;
	int ret = vgpu_share(vgpu, 2 * half, &shared);

	if (!report_result("share memory", ret, 0))
		return;
	vgpu_message_begin(&message, shared.data, half, VGPU_OP_SUM);
	vgpu_message_u32(&message, 40);
	vgpu_message_u32(&message, 2);
	submit.buffer = shared.handle;
	submit.request_bytes = (uint32_t)vgpu_message_end(&message);
	ret = vgpu_submit_many(vgpu, &submit, 1);
	report("submit in shared memory", ret == 1, "%d: %s", ret,
	       vgpu_error_text(ret));
	if (ret == 1)
		ret = vgpu_wait_many(vgpu, &completion, 1, 1, 60000);
	report("its completion",
	       ret == 1 && completion.cookie == submit.cookie &&
		       completion.user_data == 42 && !completion.error &&
		       !completion.status && completion.response == half,
	       "%d, error %d, status %u", ret, completion.error,
	       completion.status);
	ret = vgpu_parse((uint8_t *)shared.data + half,
			 completion.response_bytes, &answer);
	report("its answer is in place", !ret && answer.results[0] == 42,
	       "%d, %u", ret, answer.results[0]);
	submit.request = 2 * half - 8;
	ret = vgpu_submit_many(vgpu, &submit, 1);
	report_result("beyond the shared memory", ret, -EINVAL);
	submit.request = 4;
	ret = vgpu_submit_many(vgpu, &submit, 1);
	report_result("at no multiple of 8", ret, -EINVAL);
	vgpu_unshare(vgpu, &shared);
	submit.request = 0;
	ret = vgpu_submit_many(vgpu, &submit, 1);
	report_result("after it was given back", ret, -EINVAL);
}

/* Opens the node of a device once more, for plain calls. */
static int open_node(const struct vgpu *vgpu, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", vgpu_fd(vgpu));
	return open(path, O_RDWR | O_CLOEXEC | flags);
}

/* write() and read(), the simplest use. */
static void test_plain(const struct vgpu *vgpu)
{
	struct vgpu_request nop = { .version = VGPU_PROTOCOL_VERSION };
	struct vgpu_response response;
	int fd = open_node(vgpu, O_NONBLOCK);
	struct pollfd waiter = { .fd = fd, .events = POLLIN | POLLOUT };
	ssize_t done;

	if (!report("open the node", fd >= 0, "%s", strerror(errno)))
		return;
	done = read(fd, &response, sizeof(response));
	report("read() without a request", done < 0 && errno == EAGAIN,
	       "%zd, %s", done, strerror(errno));
	poll(&waiter, 1, -1);
	report("poll() says that there is room", waiter.revents == POLLOUT,
	       "0x%x", waiter.revents);
	done = write(fd, &nop, sizeof(nop));
	report("write()", done == sizeof(nop), "%zd, %s", done,
	       strerror(errno));
	waiter.events = POLLIN;
	report("poll() for an answer",
	       poll(&waiter, 1, 60000) == 1 && waiter.revents & POLLIN, "0x%x",
	       waiter.revents);
	done = read(fd, &response, 8);
	report("read() with little room", done < 0 && errno == EMSGSIZE,
	       "%zd, %s", done, strerror(errno));
	done = read(fd, &response, sizeof(response));
	report("read()",
	       done == sizeof(response) && !response.status &&
		       response.version == VGPU_PROTOCOL_VERSION,
	       "%zd, %s", done, strerror(errno));
	done = write(fd, &nop, 0);
	report("write() of nothing", done < 0 && errno == EINVAL, "%zd, %s",
	       done, strerror(errno));
	/* What is on its way when a file is closed harms nobody. */
	done = write(fd, &nop, sizeof(nop));
	report("write() before close()", done == sizeof(nop), "%zd", done);
	close(fd);
}

static void test_wrong(struct vgpu *vgpu)
{
	uint8_t bytes[64] = { 0 };
	struct vgpu_answer answer;
	size_t length;
	int ret;

	ret = vgpu_execute(vgpu, bytes, 1, bytes, sizeof(bytes), &length, 60000);
	if (!ret && !vgpu_parse(bytes, length, &answer))
		ret = (int)answer.status;
	report("a request of one byte", ret > 0, "%d: %s", ret,
	       vgpu_error_text(ret));
	ret = vgpu_execute(vgpu, bytes, VGPU_MAX_MESSAGE + 1ul, bytes,
			   sizeof(bytes), &length, 60000);
	report_result("a request that is too long", ret, -EMSGSIZE);
	report_result("nop after it", vgpu_nop(vgpu), 0);
}

/* An answer that comes when nobody waits any more. */
static void test_late(struct vgpu *vgpu)
{
	uint8_t request[256], response[256];
	size_t bytes;
	int ret;

	ret = vgpu_execute(vgpu, request,
			   make_spin(request, sizeof(request), LATE_NS),
			   response, sizeof(response), &bytes, 1);
	report_result("an answer that is late", ret, -ETIMEDOUT);
	report_result("synchronize with it", vgpu_synchronize(vgpu), 0);
	report_result("nop after it", vgpu_nop(vgpu), 0);
}

/* The driver's own timeout; the buffers are given back when the answer comes. */
static void test_timeout(struct vgpu *vgpu)
{
	uint8_t request[256], response[256];
	struct vgpu_submit submit = { .size = sizeof(submit),
				      .request = (uintptr_t)request,
				      .response = (uintptr_t)response,
				      .response_bytes = sizeof(response),
				      .timeout_ms = 20 };
	struct vgpu_completion completion = { 0 };
	int ret;

	submit.request_bytes =
		(uint32_t)make_spin(request, sizeof(request), LATE_NS);
	ret = vgpu_submit_many(vgpu, &submit, 1);
	if (ret == 1)
		ret = vgpu_wait_many(vgpu, &completion, 1, 1, -1);
	report("a request with a timeout",
	       ret == 1 && completion.error == -ETIMEDOUT, "%d, error %d", ret,
	       completion.error);
	report_result("nop after the timeout", vgpu_nop(vgpu), 0);
}

void test_memory(const struct options *options)
{
	struct vgpu *vgpu = open_device(options, "memory");
	struct vgpu_info info;
	uint64_t handle;

	if (!vgpu)
		return;
	if (vgpu_fd(vgpu) < 0) {
		report_skip("memory", "registers alone have none");
		vgpu_cleanup(vgpu);
		return;
	}
	test_plain(vgpu);
	test_shared(vgpu);
	test_wrong(vgpu);
	test_late(vgpu);
	test_timeout(vgpu);
	if (vgpu_get_info(vgpu, &info) || info.max_bytes < VGPU_MAX_MESSAGE)
		report_skip("large", "the device has no DMA");
	else if (report_result("alloc", vgpu_alloc(vgpu, LARGE_BYTES, &handle),
			       0)) {
		test_large(vgpu, handle, LARGE_BYTES);
		vgpu_free(vgpu, handle);
	}
	vgpu_cleanup(vgpu);
}
