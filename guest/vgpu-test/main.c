/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-test: options, and which tests to run. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static unsigned int passed;
static unsigned int failed;
static unsigned int skipped;

bool report(const char *name, bool ok, const char *format, ...)
{
	va_list arguments;

	printf("vgpu-test: %s: %s", name, ok ? "pass" : "FAIL: ");
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
	printf("vgpu-test: %s: skip: %s\n", name, why);
	skipped++;
}

bool report_result(const char *name, int got, int want)
{
	return report(name, got == want, "%d: %s, want %d: %s", got,
		      vgpu_error_text(got), want, vgpu_error_text(want));
}

struct vgpu *open_device(const struct options *options, const char *name)
{
	struct vgpu *vgpu;
	const int ret = vgpu_init(options->device, &vgpu);

	if (!ret)
		return vgpu;
	report(name, false, "%s: %s",
	       options->device ? options->device : "the first device",
	       vgpu_error_text(ret));
	return NULL;
}

/* Those that are run when none is named come first. */
static const struct {
	const char *name;
	void (*run)(const struct options *options);
	const char *help;
} tests[] = {
	{ "identity", test_identity, "the original's Test 2: version, capabilities" },
	{ "operations", test_operations, "every operation, results checked" },
	{ "memory", test_memory, "large, shared, wrong requests, poll" },
	{ "stress", test_stress, "COUNT requests, one at a time" },
	{ "batch", test_batch, "COUNT requests, DEPTH in flight" },
	{ "concurrent", test_concurrent, "COUNT requests from PROCESSES" },
	{ "alone", test_alone, "the original's Test 3: without a mediator" },
	{ "inflight", test_inflight, "DEPTH jobs of MS ms, each ends once" },
	{ "load", test_load, "DEPTH jobs of MS ms each, for SECONDS" },
};
#define TESTS (sizeof(tests) / sizeof(*tests))
#define USUAL_TESTS 6

static void usage(FILE *where)
{
	unsigned int i;

	fprintf(where,
		"usage: vgpu-test [OPTION]... [TEST]...\n"
		"  -d DEVICE     vgpu0, a path, or a PCI address: registers [the first]\n"
		"  -n COUNT      requests of stress, batch, concurrent [20000]\n"
		"  -p PROCESSES  of concurrent [8]\n"
		"  -b DEPTH      in flight, of batch and load [64]\n"
		"  -w MS         that a job of load takes [1]\n"
		"  -s SECONDS    of load [5]\n"
		"  -l            print all buckets of the latencies\n"
		"TEST (the first %d):\n",
		USUAL_TESTS);
	for (i = 0; i < TESTS; i++)
		fprintf(where, "  %-12s  %s\n", tests[i].name, tests[i].help);
}

/* A number from 1 to @most, or exits. */
static uint32_t number(const char *text, uint32_t most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (*end || end == text || value < 1 || value > most) {
		fprintf(stderr, "vgpu-test: %s: not a number from 1 to %u\n",
			text, most);
		exit(2);
	}
	return (uint32_t)value;
}

static void parse(int argc, char **argv, struct options *options)
{
	int letter;

	while ((letter = getopt(argc, argv, "d:n:p:b:w:s:lh")) != -1) {
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
			options->depth = number(optarg, VGPU_MAX_BATCH);
			break;
		case 'w':
			options->job_ms = number(optarg, 3600000);
			break;
		case 's':
			options->seconds = number(optarg, 86400);
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
		.count = 20000,
		.processes = 8,
		.depth = 64,
		.job_ms = 1,
		.seconds = 5,
	};
	unsigned int i;

	parse(argc, argv, &options);
	if (options.processes > options.count)
		options.processes = options.count;
	for (i = 0; optind == argc && i < USUAL_TESTS; i++)
		run(tests[i].name, &options);
	for (; optind < argc; optind++) {
		if (run(argv[optind], &options))
			continue;
		fprintf(stderr, "vgpu-test: no test %s\n", argv[optind]);
		return 2;
	}
	printf("vgpu-test: result passed=%u failed=%u skipped=%u\n", passed,
	       failed, skipped);
	return failed ? 1 : 0;
}
