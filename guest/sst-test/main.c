/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sst-test: the test program of virtio-sst in guests. Lines begin with
 * "sst-test:"; the exit status is 0 if nothing failed.
 */

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static unsigned int passed, failed, skipped;

bool report(const char *name, bool ok, const char *format, ...)
{
	va_list arguments;

	printf("sst-test: %s: %s", name, ok ? "pass" : "FAIL: ");
	if (!ok) {
		va_start(arguments, format);
		vprintf(format, arguments);
		va_end(arguments);
	}
	printf("\n");
	if (ok)
		passed++;
	else
		failed++;
	return ok;
}

void report_skip(const char *name, const char *why)
{
	printf("sst-test: %s: skip: %s\n", name, why);
	skipped++;
}

static const struct {
	const char *name;
	void (*run)(const struct options *options);
	const char *help;
} tests[] = {
	{ "types", test_types, "each request type, right and wrong" },
	{ "beyond", test_beyond, "poll, batches, shared memory, events, timeouts" },
	{ "uring", test_uring, "commands of io_uring" },
	{ "stress", test_stress, "COUNT requests, write() and read()" },
	{ "batch", test_batch, "COUNT requests, many in flight" },
	{ "concurrent", test_concurrent, "COUNT requests from PROCESSES, both ways" },
};
#define TESTS (sizeof(tests) / sizeof(*tests))

static void usage(FILE *where)
{
	unsigned int i;

	fprintf(where,
		"usage: sst-test [OPTION]... [TEST]...\n"
		"  -d DEVICE     name, number or path [sst0]\n"
		"  -n COUNT      requests of stress, batch, concurrent [100000]\n"
		"  -p PROCESSES  of concurrent [10]\n"
		"  -b BATCH      requests a system call of batch [64]\n"
		"  -t TYPE       of their requests: noop, echo, compute [noop]\n"
		"  -u UNITS      of compute [100]\n"
		"  -l            print all buckets of the latencies\n"
		"TEST (all):\n");
	for (i = 0; i < TESTS; i++)
		fprintf(where, "  %-12s  %s\n", tests[i].name, tests[i].help);
}

/* A number from 1 to @most, or exits. */
static uint32_t number(const char *text, uint32_t most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (*end || end == text || value < 1 || value > most) {
		fprintf(stderr, "sst-test: %s: not a number from 1 to %u\n",
			text, most);
		exit(2);
	}
	return (uint32_t)value;
}

static uint32_t type_by_name(const char *name)
{
	if (!strcmp(name, "noop"))
		return SST_REQ_NOOP;
	if (!strcmp(name, "echo"))
		return SST_REQ_ECHO;
	if (!strcmp(name, "compute"))
		return SST_REQ_COMPUTE;
	fprintf(stderr, "sst-test: %s: not noop, echo or compute\n", name);
	exit(2);
}

static void parse(int argc, char **argv, struct options *options)
{
	int letter;

	while ((letter = getopt(argc, argv, "d:n:p:b:t:u:lh")) != -1) {
		switch (letter) {
		case 'd':
			options->device = optarg;
			break;
		case 'n':
			options->count = number(optarg, 1u << 30);
			break;
		case 'p':
			options->processes = number(optarg, 1000);
			break;
		case 'b':
			options->batch = number(optarg, SST_MAX_BATCH);
			break;
		case 't':
			options->type = type_by_name(optarg);
			break;
		case 'u':
			options->units = number(optarg, SST_MAX_COMPUTE_UNITS);
			break;
		case 'l':
			options->histogram = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
}

static bool run(const char *name, const struct options *options)
{
	unsigned int i;

	for (i = 0; i < TESTS; i++) {
		if (strcmp(name, tests[i].name))
			continue;
		tests[i].run(options);
		fflush(stdout);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct options options = {
		.device = "sst0",
		.count = 100000,
		.processes = 10,
		.batch = 64,
		.type = SST_REQ_NOOP,
		.units = 100,
	};
	unsigned int i;

	parse(argc, argv, &options);
	if (options.processes > options.count) {
		fprintf(stderr, "sst-test: more processes than requests\n");
		return 2;
	}
	for (i = 0; optind == argc && i < TESTS; i++)
		run(tests[i].name, &options);
	for (; optind < argc; optind++) {
		if (run(argv[optind], &options))
			continue;
		fprintf(stderr, "sst-test: no test %s\n", argv[optind]);
		return 2;
	}
	printf("sst-test: result passed=%u failed=%u skipped=%u\n", passed,
	       failed, skipped);
	return failed ? 1 : 0;
}
