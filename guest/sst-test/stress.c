/* SPDX-License-Identifier: Apache-2.0 */
/* sst-test: many requests, one after the other, in batches, from processes. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* What a run has to say; in memory that processes share. */
struct result {
	uint64_t answered;
	uint64_t failed; /* errors, other statuses than OK, answers twice */
	int first_error; /* errno, or 1000 + status */
	struct histogram histogram;
};

static void fail(struct result *result, int error)
{
	if (!result->failed++)
		result->first_error = error;
}

static void count_answer(struct result *result, int ret, uint32_t status)
{
	if (ret)
		fail(result, -ret);
	else if (status != SST_STATUS_OK)
		fail(result, 1000 + (int)status);
	else
		result->answered++;
}

static const char *describe(int error)
{
	if (error == EBADMSG)
		return "an answer to something else";
	return error >= 1000 ? sst_status_name((uint32_t)error - 1000) :
			       strerror(error);
}

static void fill(struct SSTRequest *request, const struct options *options,
		 uint64_t number)
{
	request->type = options->type;
	request->user_data = number;
	if (options->type == SST_REQ_COMPUTE)
		request->payload.compute.compute_units = options->units;
}

/* Linux SST's loop. */
static void run_single(const struct options *options, uint32_t count,
		       struct result *result)
{
	struct SSTRequest *request = calloc(1, sizeof(*request));
	struct SSTResponse *response = calloc(1, sizeof(*response));
	struct sst *sst = NULL;
	uint64_t start;
	uint32_t i;
	int ret = sst_open(options->device, 0, &sst);

	if (ret || !request || !response) {
		fail(result, ret ? -ret : ENOMEM);
		count = 0;
	}
	for (i = 0; i < count; i++) {
		fill(request, options, i);
		start = now_ns();
		ret = sst_ask(sst, request, response);
		histogram_add(&result->histogram, now_ns() - start);
		if (!ret && response->user_data != i)
			ret = -EBADMSG;
		count_answer(result, ret, response->status);
	}
	sst_close(sst);
	free(request);
	free(response);
}

/* Takes the answers that are there; each number once. */
static int take(struct sst *sst, uint8_t *seen, uint32_t count,
		uint32_t least, struct result *result)
{
	struct sst_completion completions[64];
	int got = sst_receive(sst, completions, NULL, 64, least);
	int i;

	for (i = 0; i < got; i++) {
		const struct sst_completion *completion = &completions[i];
		int error = completion->error;

		if (!error && (completion->user_data >= count ||
			       seen[completion->user_data]++))
			error = -EBADMSG;
		histogram_add(&result->histogram, completion->wall_ns);
		count_answer(result, error, completion->status);
	}
	return got;
}

/* As many in flight as a batch has, one kick for each. */
static void run_batches(const struct options *options, uint32_t count,
			struct result *result)
{
	struct SSTRequest *requests = calloc(options->batch, sizeof(*requests));
	uint8_t *seen = calloc(1, count + 1);
	uint32_t sent = 0, got = 0, i;
	struct sst *sst = NULL;
	int ret = sst_open(options->device, 0, &sst);

	if (!ret && (!requests || !seen))
		ret = -ENOMEM;
	while (!ret && got < count) {
		const uint32_t left = count - sent;
		const uint32_t part = left < options->batch ? left :
							      options->batch;

		for (i = 0; i < part; i++)
			fill(&requests[i], options, sent + i);
		if (part)
			ret = sst_send(sst, requests, sizeof(*requests), part);
		if (ret < 0)
			break;
		sent += (uint32_t)ret;
		while (got < sent) {
			ret = take(sst, seen, count, sent - got < 64 ?
							     sent - got : 64,
				   result);
			if (ret < 0)
				break;
			got += (uint32_t)ret;
		}
		ret = ret < 0 ? ret : 0;
	}
	if (ret < 0)
		fail(result, -ret);
	sst_close(sst);
	free(requests);
	free(seen);
}

static void print_result(const char *name, const struct options *options,
			 const struct result *result, uint32_t count,
			 uint32_t processes, uint64_t ns)
{
	printf("sst-test: run test=%s type=%s count=%" PRIu32
	       " processes=%" PRIu32 " answered=%" PRIu64 " failed=%" PRIu64
	       " ns=%" PRIu64 " per_second=%" PRIu64 "\n",
	       name, sst_type_name(options->type), count, processes,
	       result->answered, result->failed, ns,
	       ns ? result->answered * 1000000000u / ns : 0);
	histogram_print(&result->histogram, name, options->histogram);
	report(name, result->answered == count && !result->failed,
	       "%" PRIu64 " of %" PRIu32 " answered, %" PRIu64 " failed, first: %s",
	       result->answered, count, result->failed,
	       result->failed ? describe(result->first_error) : "none");
}

typedef void (*run_function)(const struct options *options, uint32_t count,
			     struct result *result);

static void run_here(const char *name, run_function run,
		     const struct options *options)
{
	struct result *result = calloc(1, sizeof(*result));
	uint64_t start = now_ns();

	if (!result)
		return (void)report(name, false, "%s", strerror(ENOMEM));
	run(options, options->count, result);
	print_result(name, options, result, options->count, 1,
		     now_ns() - start);
	free(result);
}

void test_stress(const struct options *options)
{
	run_here("stress", run_single, options);
}

void test_batch(const struct options *options)
{
	run_here("batch", run_batches, options);
}

/* Waits for all children; false if one did not end well. */
static bool wait_all(uint32_t count)
{
	bool ok = true;
	int status;

	while (count--)
		ok = wait(&status) > 0 && WIFEXITED(status) &&
		     !WEXITSTATUS(status) && ok;
	return ok;
}

static void run_processes(const char *name, run_function run,
			  const struct options *options)
{
	const size_t size = options->processes * sizeof(struct result);
	struct result *results = mmap(NULL, size, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const uint32_t each = options->count / options->processes;
	uint64_t start = now_ns();
	uint32_t made, i;
	bool ok;

	if (results == MAP_FAILED)
		return (void)report(name, false, "%s", strerror(errno));
	fflush(stdout);
	for (made = 0; made < options->processes; made++) {
		const pid_t pid = fork();

		if (pid < 0)
			break;
		if (!pid) {
			run(options, each, &results[made]);
			_exit(0);
		}
	}
	ok = wait_all(made) && made == options->processes;
	for (i = 1; i < options->processes; i++) {
		results[0].answered += results[i].answered;
		if (results[i].failed && !results[0].failed)
			results[0].first_error = results[i].first_error;
		results[0].failed += results[i].failed;
		histogram_merge(&results[0].histogram, &results[i].histogram);
	}
	print_result(name, options, &results[0], each * options->processes,
		     options->processes, now_ns() - start);
	if (!ok)
		report(name, false, "a process did not end well");
	munmap(results, size);
}

void test_concurrent(const struct options *options)
{
	run_processes("concurrent", run_single, options);
	run_processes("concurrent_batch", run_batches, options);
}
