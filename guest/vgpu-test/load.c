/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-test: keeps a depth of jobs that take so many milliseconds each in
 * flight for a time, so that a mediator can be seen to share backends.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define RESPONSE_BYTES 256u

/* What a run of it counts. */
struct load {
	struct vgpu *vgpu;
	uint8_t request[512];
	size_t request_bytes;
	uint32_t in_flight;
	uint32_t next; /* number of the next job, for its place */
	uint64_t done;
	uint64_t failed;
	int first_error;
	struct histogram latencies;
};

size_t make_spin(void *request, size_t room, uint64_t ns)
{
	struct vgpu_launch launch = { .name = "spin",
				      .grid = { 1, 1, 1 },
				      .block = { 1, 1, 1 },
				      .arg_count = 1 };
	const struct vgpu_arg arg = vgpu_arg_u64(ns);
	struct vgpu_message message;

	vgpu_message_begin(&message, request, room, VGPU_OP_LAUNCH);
	vgpu_message_data(&message, &launch, sizeof(launch));
	vgpu_message_data(&message, &arg, sizeof(arg));
	return (size_t)vgpu_message_end(&message);
}

static void note(struct load *load, int error, uint64_t latency_ns)
{
	if (!error) {
		load->done++;
		histogram_add(&load->latencies, latency_ns);
		return;
	}
	load->failed++;
	if (!load->first_error)
		load->first_error = error;
}

/* What one completion, and the response of its place, say. */
static int job_error(const struct vgpu_completion *completion,
		     const uint8_t *responses)
{
	struct vgpu_answer answer;

	if (completion->error)
		return completion->error;
	if (completion->status)
		return (int)completion->status;
	if (vgpu_parse(responses + completion->user_data * RESPONSE_BYTES,
		       completion->response_bytes, &answer))
		return -EIO;
	return (int)answer.status;
}

/* Sends one job into @place. */
static int send_job(struct load *load, uint8_t *responses, uint64_t place)
{
	struct vgpu_submit submit = {
		.size = sizeof(submit),
		.request = (uintptr_t)load->request,
		.request_bytes = (uint32_t)load->request_bytes,
		.response = (uintptr_t)(responses + place * RESPONSE_BYTES),
		.response_bytes = RESPONSE_BYTES,
		.user_data = place,
	};
	const int ret = vgpu_submit_many(load->vgpu, &submit, 1);

	if (ret == 1)
		load->in_flight++;
	return ret < 0 ? ret : 0;
}

/* Takes one answer; its place, or an error. */
static int take_job(struct load *load, const uint8_t *responses)
{
	struct vgpu_completion completion;
	const int ret = vgpu_wait_many(load->vgpu, &completion, 1, 1, -1);

	if (ret < 0)
		return ret;
	load->in_flight--;
	note(load, job_error(&completion, responses), completion.wall_ns);
	return (int)completion.user_data;
}

/* Many in flight, by the driver. */
static int run_deep(struct load *load, const struct options *options,
		    uint64_t end_ns)
{
	uint8_t *responses = calloc(options->depth, RESPONSE_BYTES);
	int ret = responses ? 0 : -ENOMEM;

	while (!ret && load->in_flight < options->depth)
		ret = send_job(load, responses, load->in_flight);
	while (ret >= 0 && load->in_flight) {
		ret = take_job(load, responses);
		if (ret >= 0 && now_ns() < end_ns)
			ret = send_job(load, responses, (uint64_t)ret);
	}
	free(responses);
	return ret < 0 ? ret : 0;
}

/* One at a time, by registers. */
static int run_single(struct load *load, uint64_t end_ns)
{
	uint8_t response[RESPONSE_BYTES];
	struct vgpu_answer answer;
	size_t bytes;

	while (now_ns() < end_ns) {
		const uint64_t begun = now_ns();
		int ret = vgpu_execute(load->vgpu, load->request,
				       load->request_bytes, response,
				       sizeof(response), &bytes, -1);

		if (!ret)
			ret = vgpu_parse(response, bytes, &answer);
		if (ret < 0)
			return ret;
		note(load, ret ? ret : (int)answer.status, now_ns() - begun);
	}
	return 0;
}

void test_load(const struct options *options)
{
	struct load *load = calloc(1, sizeof(*load));
	struct vgpu_info info;
	uint64_t begun, ns;
	int ret;

	if (!load)
		return;
	load->vgpu = open_device(options, "load");
	if (!load->vgpu) {
		free(load);
		return;
	}
	vgpu_get_info(load->vgpu, &info);
	vgpu_set_timeout(load->vgpu, 0);
	load->request_bytes = make_spin(load->request, sizeof(load->request),
					options->job_ms * 1000000ull);
	begun = now_ns();
	ret = vgpu_fd(load->vgpu) < 0 ?
		      run_single(load, begun + options->seconds * 1000000000ull) :
		      run_deep(load, options,
			       begun + options->seconds * 1000000000ull);
	ns = now_ns() - begun;
	printf("vgpu-test: load vm_id=%u priority=%u depth=%u job_ms=%u done=%" PRIu64
	       " failed=%" PRIu64 " ns=%" PRIu64 " busy_ns=%" PRIu64
	       " share=%.4f\n",
	       info.vm_id, info.priority, options->depth, options->job_ms,
	       load->done, load->failed, ns,
	       load->done * options->job_ms * 1000000,
	       (double)load->done * options->job_ms * 1e6 / (double)ns);
	histogram_print(&load->latencies, "load", options->histogram);
	report("load", !ret && !load->failed && load->done,
	       "%s; %" PRIu64 " jobs failed, the first with %d: %s",
	       vgpu_error_text(ret), load->failed, load->first_error,
	       vgpu_error_text(load->first_error));
	vgpu_cleanup(load->vgpu);
	free(load);
}
