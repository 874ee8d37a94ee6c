/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-test: many requests, each answered once and with its own answer. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define PLACE_BYTES 128u

/* What one process has seen; shared with the first. */
struct tally {
	uint64_t answered;
	uint64_t wrong;
	int error;
	struct histogram latencies;
};

/* A request for the sum of @i and 7: its answer cannot be another's. */
static size_t make_sum(uint8_t *request, uint32_t i)
{
	struct vgpu_message message;

	vgpu_message_begin(&message, request, PLACE_BYTES, VGPU_OP_SUM);
	vgpu_message_u32(&message, i);
	vgpu_message_u32(&message, 7);
	return (size_t)vgpu_message_end(&message);
}

static bool is_sum(const uint8_t *response, size_t bytes, uint32_t i)
{
	struct vgpu_answer answer;

	return !vgpu_parse(response, bytes, &answer) && !answer.status &&
	       answer.result_count == 1 && answer.results[0] == i + 7;
}

/* One at a time. */
static void ask_each(struct vgpu *vgpu, uint32_t count, struct tally *tally)
{
	uint8_t request[PLACE_BYTES], response[PLACE_BYTES];
	uint64_t begun;
	size_t bytes;
	uint32_t i;
	int ret;

	for (i = 0; i < count && !tally->error; i++) {
		const size_t length = make_sum(request, i);

		begun = now_ns();
		ret = vgpu_execute(vgpu, request, length, response,
				   sizeof(response), &bytes, 60000);
		/* Registers have one user; another process may be it. */
		if (ret == -EBUSY) {
			i--;
			continue;
		}
		if (ret) {
			tally->error = ret;
			break;
		}
		histogram_add(&tally->latencies, now_ns() - begun);
		tally->answered++;
		tally->wrong += !is_sum(response, bytes, i);
	}
}

/* A window of requests: each place has a request and a response. */
struct window {
	uint8_t (*requests)[PLACE_BYTES];
	uint8_t (*responses)[PLACE_BYTES];
	uint32_t *numbers; /* of the request in each place */
	uint32_t *free; /* places */
	uint32_t free_count;
	struct vgpu_submit *submits;
	struct vgpu_completion *completions;
	uint32_t next;
};

static bool make_window(struct window *window, uint32_t depth)
{
	uint32_t i;

	memset(window, 0, sizeof(*window));
	window->requests = calloc(depth, PLACE_BYTES);
	window->responses = calloc(depth, PLACE_BYTES);
	window->numbers = calloc(depth, sizeof(uint32_t));
	window->free = calloc(depth, sizeof(uint32_t));
	window->submits = calloc(depth, sizeof(struct vgpu_submit));
	window->completions = calloc(depth, sizeof(struct vgpu_completion));
	for (i = 0; window->free && i < depth; i++)
		window->free[i] = i;
	window->free_count = depth;
	return window->requests && window->responses && window->numbers &&
	       window->free && window->submits && window->completions;
}

static void free_window(struct window *window)
{
	free(window->requests);
	free(window->responses);
	free(window->numbers);
	free(window->free);
	free(window->submits);
	free(window->completions);
}

/* Fills the free places, as far as there are requests and room. */
static int send_window(struct vgpu *vgpu, struct window *window, uint32_t count)
{
	uint32_t made;
	int ret;

	for (made = 0;
	     made < window->free_count && window->next + made < count; made++) {
		const uint32_t place =
			window->free[window->free_count - 1 - made];

		window->numbers[place] = window->next + made;
		window->submits[made] = (struct vgpu_submit){
			.size = sizeof(struct vgpu_submit),
			.request = (uintptr_t)window->requests[place],
			.request_bytes = (uint32_t)make_sum(
				window->requests[place], window->next + made),
			.response = (uintptr_t)window->responses[place],
			.response_bytes = PLACE_BYTES,
			.user_data = place,
		};
	}
	if (!made)
		return 0;
	ret = vgpu_submit_many(vgpu, window->submits, made);
	if (ret > 0) {
		window->next += (uint32_t)ret;
		window->free_count -= (uint32_t)ret;
	}
	return ret < 0 ? ret : 0;
}

static int take_window(struct vgpu *vgpu, struct window *window, uint32_t depth,
		       struct tally *tally)
{
	int i, count = vgpu_wait_many(vgpu, window->completions, depth, 1, -1);

	for (i = 0; i < count; i++) {
		const struct vgpu_completion *completion =
			&window->completions[i];
		const uint32_t place = (uint32_t)completion->user_data;

		if (completion->error)
			return completion->error;
		histogram_add(&tally->latencies, completion->wall_ns);
		tally->answered++;
		tally->wrong += completion->status ||
				!is_sum(window->responses[place],
					completion->response_bytes,
					window->numbers[place]);
		window->free[window->free_count++] = place;
	}
	return count < 0 ? count : 0;
}

/* Many in flight. */
static void ask_many(struct vgpu *vgpu, uint32_t count, uint32_t depth,
		     struct tally *tally)
{
	struct window window;

	if (!make_window(&window, depth))
		tally->error = -ENOMEM;
	while (!tally->error && tally->answered < count) {
		tally->error = send_window(vgpu, &window, count);
		if (!tally->error)
			tally->error = take_window(vgpu, &window, depth, tally);
	}
	free_window(&window);
}

/* Prints and checks a run. */
static void finish(const char *name, const struct options *options,
		   uint32_t count, uint32_t depth, uint32_t processes,
		   const struct tally *tally, uint64_t ns)
{
	printf("vgpu-test: run test=%s count=%u depth=%u processes=%u answered=%" PRIu64
	       " failed=%" PRIu64 " ns=%" PRIu64 " per_second=%" PRIu64 "\n",
	       name, count, depth, processes, tally->answered,
	       count - tally->answered + tally->wrong, ns,
	       ns ? (uint64_t)((double)tally->answered * 1e9 / (double)ns) : 0);
	histogram_print(&tally->latencies, name, options->histogram);
	report(name,
	       !tally->error && !tally->wrong && tally->answered == count,
	       "%" PRIu64 " of %u answered, %" PRIu64 " wrong: %s",
	       tally->answered, count, tally->wrong,
	       vgpu_error_text(tally->error));
}

void test_stress(const struct options *options)
{
	struct tally *tally = calloc(1, sizeof(*tally));
	struct vgpu *vgpu = open_device(options, "stress");
	const uint64_t begun = now_ns();

	if (vgpu && tally) {
		ask_each(vgpu, options->count, tally);
		finish("stress", options, options->count, 1, 1, tally,
		       now_ns() - begun);
	}
	vgpu_cleanup(vgpu);
	free(tally);
}

void test_batch(const struct options *options)
{
	struct tally *tally = calloc(1, sizeof(*tally));
	struct vgpu *vgpu = open_device(options, "batch");
	const uint64_t begun = now_ns();

	if (vgpu && vgpu_fd(vgpu) < 0) {
		report_skip("batch", "by registers there is one at a time");
	} else if (vgpu && tally) {
		ask_many(vgpu, options->count, options->depth, tally);
		finish("batch", options, options->count, options->depth, 1,
		       tally, now_ns() - begun);
	}
	vgpu_cleanup(vgpu);
	free(tally);
}

/* A child: every other one has one at a time in flight. */
static void child(const struct options *options, uint32_t number,
		  uint32_t count, struct tally *tally)
{
	struct vgpu *vgpu;

	tally->error = vgpu_init(options->device, &vgpu);
	if (tally->error)
		return;
	if (number % 2 || vgpu_fd(vgpu) < 0)
		ask_each(vgpu, count, tally);
	else
		ask_many(vgpu, count, options->depth, tally);
	vgpu_cleanup(vgpu);
}

/* How many of them ended well. */
static uint32_t wait_for_children(uint32_t started)
{
	uint32_t well = 0, i;
	int status;

	for (i = 0; i < started; i++)
		if (wait(&status) > 0 && WIFEXITED(status) &&
		    !WEXITSTATUS(status))
			well++;
	return well;
}

void test_concurrent(const struct options *options)
{
	const uint32_t each = options->count / options->processes;
	const size_t bytes = options->processes * sizeof(struct tally);
	struct tally *tallies, all = { 0 };
	const uint64_t begun = now_ns();
	uint32_t started, i;

	tallies = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tallies == MAP_FAILED)
		return (void)report("concurrent", false, "no memory");
	fflush(stdout);
	for (started = 0; started < options->processes; started++) {
		const pid_t pid = fork();

		if (pid < 0)
			break;
		if (!pid) {
			child(options, started, each, &tallies[started]);
			_exit(0);
		}
	}
	report("concurrent processes",
	       wait_for_children(started) == options->processes,
	       "not all of %u ended well", options->processes);
	for (i = 0; i < options->processes; i++) {
		all.answered += tallies[i].answered;
		all.wrong += tallies[i].wrong;
		if (!all.error)
			all.error = tallies[i].error;
		histogram_merge(&all.latencies, &tallies[i].latencies);
	}
	finish("concurrent", options, each * options->processes, options->depth,
	       options->processes, &all, now_ns() - begun);
	munmap(tallies, bytes);
}
