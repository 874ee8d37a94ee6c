/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-test: jobs in flight while somebody takes the device away, resets it or
 * lets it sleep: each ends once, with an answer or an error.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

/* How jobs ended. */
struct ends {
	uint32_t answered;
	uint32_t gone; /* ENODEV */
	uint32_t cancelled;
	uint32_t timed_out;
	uint32_t status; /* an error of the device or the mediator */
	uint32_t other;
};

static void note(struct ends *ends, const struct vgpu_completion *completion)
{
	switch (completion->error) {
	case 0:
		if (completion->status)
			ends->status++;
		else
			ends->answered++;
		break;
	case -ENODEV:
		ends->gone++;
		break;
	case -ECANCELED:
		ends->cancelled++;
		break;
	case -ETIMEDOUT:
		ends->timed_out++;
		break;
	default:
		ends->other++;
	}
}

/* Sends @depth jobs from one request; how many were taken, or an error. */
static int send_all(struct vgpu *vgpu, const struct options *options,
		    const uint8_t *request, size_t bytes)
{
	struct vgpu_submit *submits = calloc(options->depth, sizeof(*submits));
	uint32_t i;
	int ret;

	if (!submits)
		return -ENOMEM;
	for (i = 0; i < options->depth; i++)
		submits[i] = (struct vgpu_submit){
			.size = sizeof(*submits),
			.request = (uintptr_t)request,
			.request_bytes = (uint32_t)bytes,
			.response_bytes = 64,
			.user_data = i,
		};
	ret = vgpu_submit_many(vgpu, submits, options->depth);
	free(submits);
	return ret;
}

/* Takes an answer of each; false: one ended twice, or not at all. */
static bool take_all(struct vgpu *vgpu, uint32_t sent, struct ends *ends)
{
	uint8_t *seen = calloc(sent, 1);
	struct vgpu_completion completion;
	uint32_t i;
	bool well = seen;

	for (i = 0; well && i < sent; i++) {
		well = vgpu_wait_many(vgpu, &completion, 1, 1, 120000) == 1 &&
		       completion.user_data < sent &&
		       !seen[completion.user_data]++;
		if (well)
			note(ends, &completion);
	}
	free(seen);
	return well;
}

void test_inflight(const struct options *options)
{
	struct vgpu *vgpu = open_device(options, "inflight");
	struct ends ends = { 0 };
	uint8_t request[512];
	size_t bytes;
	int sent;

	if (!vgpu)
		return;
	if (vgpu_fd(vgpu) < 0) {
		report_skip("inflight", "by registers there is one at a time");
		vgpu_cleanup(vgpu);
		return;
	}
	bytes = make_spin(request, sizeof(request),
			  options->job_ms * 1000000ull);
	sent = send_all(vgpu, options, request, bytes);
	printf("vgpu-test: sent %d\n", sent);
	fflush(stdout);
	if (report("send", sent > 0, "%s", vgpu_error_text(sent)))
		report("each ended once",
		       take_all(vgpu, (uint32_t)sent, &ends), "%u did",
		       ends.answered + ends.gone + ends.cancelled +
			       ends.timed_out + ends.status + ends.other);
	printf("vgpu-test: inflight sent=%d answered=%u gone=%u cancelled=%u"
	       " timed_out=%u status=%u other=%u\n",
	       sent, ends.answered, ends.gone, ends.cancelled, ends.timed_out,
	       ends.status, ends.other);
	report("no other errors", !ends.other, "%u", ends.other);
	/* Is it there, and does it answer? */
	printf("vgpu-test: afterwards: %s\n", vgpu_error_text(vgpu_nop(vgpu)));
	vgpu_cleanup(vgpu);
}
