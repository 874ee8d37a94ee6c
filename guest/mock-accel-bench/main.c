// SPDX-License-Identifier: Apache-2.0
/*
 * mock-accel-bench: checks that a mock-accel device copies and fills rightly,
 * and measures how fast. Exit status: 0 ok, 1 mismatch or failure, 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define QUEUE_ENTRIES 1024
#define MAX_LIST 8

struct options {
	const char *device;
	bool json;
	bool verify_only;
	bool poll;
	double seconds;
	uint32_t queues;
	uint32_t sizes[MAX_LIST];
	int size_count;
	uint32_t depths[MAX_LIST];
	int depth_count;
};

bool report(const char *what, int error)
{
	fprintf(stderr, "mock-accel-bench: %s: %s\n", what, strerror(-error));
	return false;
}

/* xorshift64: good enough for addresses, and the same on each run. */
uint64_t next_random(struct bench *bench)
{
	bench->random ^= bench->random << 13;
	bench->random ^= bench->random >> 7;
	bench->random ^= bench->random << 17;
	return bench->random;
}

static int usage(FILE *out)
{
	static const char text[] =
		"usage: mock-accel-bench [OPTION...]\n"
		"  --device NAME     path, class device or PCI address (mock0)\n"
		"  --verify          check correctness only\n"
		"  --seconds N       for each figure (1)\n"
		"  --sizes N,N,...   bytes of an operation (64,4096,65536,1048576)\n"
		"  --depths N,N,...  operations of a batch, to 1024 (1,32,1024)\n"
		"  --queues N        rings to use (all that are free)\n"
		"  --poll            look at completions instead of sleeping\n"
		"  --json            one JSON object on stdout\n"
		"Correctness is checked in any case. Exit status 1: a mismatch or a failure.\n";

	fputs(text, out);
	return out == stdout ? EXIT_OK : EXIT_USAGE;
}

static bool parse_number(const char *text, const char **end, double max,
			 double *value)
{
	char *stop;

	*value = strtod(text, &stop);
	*end = stop;
	return stop != text && *value > 0 && *value <= max;
}

/* "1,2,3" to at most MAX_LIST whole numbers up to @max. */
static bool parse_list(const char *text, uint32_t max, uint32_t *list,
		       int *count)
{
	for (*count = 0; *count < MAX_LIST; text++) {
		double value;

		if (!parse_number(text, &text, max, &value) ||
		    value != (double)(uint32_t)value)
			return false;
		list[(*count)++] = (uint32_t)value;
		if (*text != ',')
			return !*text;
	}
	return false;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "verify", no_argument, NULL, 'v' },
		{ "seconds", required_argument, NULL, 's' },
		{ "sizes", required_argument, NULL, 'z' },
		{ "depths", required_argument, NULL, 'e' },
		{ "queues", required_argument, NULL, 'q' },
		{ "poll", no_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *end = "";
	bool ok = true;
	int count;
	int c;

	while (ok && (c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (c) {
		case 'd':
			options->device = optarg;
			break;
		case 'v':
			options->verify_only = true;
			break;
		case 's':
			ok = parse_number(optarg, &end, 3600,
					  &options->seconds) &&
			     !*end;
			break;
		case 'z':
			ok = parse_list(optarg, MOCK_ACCEL_MAX_BUFFER_BYTES,
					options->sizes, &options->size_count);
			break;
		case 'e':
			ok = parse_list(optarg, QUEUE_ENTRIES, options->depths,
					&options->depth_count);
			break;
		case 'q':
			ok = parse_list(optarg, MOCK_ACCEL_MAX_QUEUES,
					&options->queues, &count) &&
			     count == 1;
			break;
		case 'p':
			options->poll = true;
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			exit(usage(stdout));
		default:
			return false;
		}
	}
	if (!ok)
		fprintf(stderr, "mock-accel-bench: bad value '%s'\n", optarg);
	return ok && optind == argc;
}

/* Opens the device and takes up to @queues rings, each with its memory. */
static bool prepare(struct bench *bench, const struct options *options)
{
	uint32_t bytes = 1u << 20;
	int ret;

	for (int i = 0; i < options->size_count; i++)
		if (options->sizes[i] > bytes)
			bytes = options->sizes[i];
	ret = mockaccel_open(options->device, &bench->device);
	if (ret)
		return report(bench->name, ret);
	ret = mockaccel_engine(bench->device, &bench->engine);
	if (ret)
		return report("MOCK_ACCEL_IOC_GET_ENGINE", ret);
	while ((uint32_t)bench->lane_count < options->queues) {
		struct lane *lane = &bench->lanes[bench->lane_count];

		ret = mockaccel_queue_create(bench->device, QUEUE_ENTRIES, 0,
					     &lane->queue);
		if (ret == -EBUSY && bench->lane_count)
			break;
		if (ret)
			return report("make a queue", ret);
		ret = mockaccel_buffer_create(bench->device, bytes, &lane->src);
		if (!ret)
			ret = mockaccel_buffer_create(bench->device, bytes,
						      &lane->dst);
		if (ret)
			return report("make a buffer", ret);
		bench->lane_count++;
	}
	return true;
}

static void print_text(const struct figure *figure)
{
	const double rate = (double)figure->operations / figure->seconds;

	printf("%s %8u bytes  depth %4u  %10.0f op/s  %9.1f MB/s  batch %8.1f us (%.1f to %.1f)\n",
	       figure->operation, figure->bytes, figure->depth, rate,
	       rate * figure->bytes / 1e6, figure->latency_us,
	       figure->latency_min_us, figure->latency_max_us);
	fflush(stdout);
}

static void print_json(const struct figure *figure, bool first)
{
	const double rate = (double)figure->operations / figure->seconds;

	printf("%s\n  {\"operation\": \"%s\", \"bytes\": %u, \"depth\": %u, \"seconds\": %.6f, "
	       "\"operations\": %llu, \"operations_per_s\": %.1f, \"bytes_per_s\": %.0f, "
	       "\"batch_us\": %.3f, \"batch_min_us\": %.3f, \"batch_max_us\": %.3f}",
	       first ? "" : ",", figure->operation, figure->bytes,
	       figure->depth, figure->seconds,
	       (unsigned long long)figure->operations, rate,
	       rate * figure->bytes, figure->latency_us, figure->latency_min_us,
	       figure->latency_max_us);
}

static bool measure_all(struct bench *bench, const struct options *options)
{
	bool first = true;

	for (int fill = 0; fill < 2; fill++)
		for (int s = 0; s < options->size_count; s++)
			for (int d = 0; d < options->depth_count; d++) {
				struct figure figure;

				if (!measure(bench, fill, options->sizes[s],
					     options->depths[d],
					     options->seconds, &figure))
					return false;
				if (options->json)
					print_json(&figure, first);
				else
					print_text(&figure);
				first = false;
			}
	return true;
}

static bool run(struct bench *bench, const struct options *options)
{
	struct verdict verdict = { 0 };
	bool ok;

	if (!prepare(bench, options))
		return false;
	ok = verify(bench, &verdict);
	if (options->json)
		printf("{\"device\": \"%s\", \"queues\": %d, \"memory_bytes\": %llu, \"verify\": "
		       "{\"operations\": %llu, \"mismatches\": %llu}, \"figures\": [",
		       bench->name, bench->lane_count,
		       (unsigned long long)bench->engine.memory_bytes,
		       (unsigned long long)verdict.operations,
		       (unsigned long long)verdict.mismatches);
	else
		printf("%s: %d queues, %llu operations verified, %llu mismatches\n",
		       bench->name, bench->lane_count,
		       (unsigned long long)verdict.operations,
		       (unsigned long long)verdict.mismatches);
	/* For a script: from this line on, all rings are busy. */
	fflush(stdout);
	if (ok && !options->verify_only)
		ok = measure_all(bench, options);
	if (options->json)
		printf("]}\n");
	return ok && !verdict.mismatches;
}

int main(int argc, char **argv)
{
	struct options options = {
		.seconds = 1,
		.queues = MOCK_ACCEL_MAX_QUEUES,
		.sizes = { 64, 4096, 65536, 1048576 },
		.size_count = 4,
		.depths = { 1, 32, 1024 },
		.depth_count = 3,
	};
	struct bench bench = { .random = 0x9e3779b97f4a7c15 };
	bool ok;

	if (!parse_options(argc, argv, &options))
		return usage(stderr);
	bench.name = options.device ? options.device : "mock0";
	bench.poll = options.poll;
	ok = run(&bench, &options);
	mockaccel_close(bench.device);
	/* A full disk or a closed pipe must not look like success. */
	if (fflush(stdout) || ferror(stdout))
		ok = report("stdout", -errno);
	return ok ? EXIT_OK : EXIT_FAILED;
}
