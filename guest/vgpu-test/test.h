/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of vgpu-test share. */
#ifndef VGPU_TEST_H
#define VGPU_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "libvgpu.h"

#define TOOL "vgpu-test" /* before what histogram.c prints */

/* What the command line says. */
struct options {
	const char *device; /* NULL: the first */
	uint32_t count; /* requests of the stress tests, all processes together */
	uint32_t processes;
	uint32_t depth; /* in flight, of batch and load */
	uint32_t job_ms; /* of load */
	uint32_t seconds; /* of load */
	bool histogram;
};

/* Latencies in ns, in buckets that are 1/8 of a power of two wide. */
#define HISTOGRAM_BUCKETS (64 * 8)
struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t most;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
uint64_t histogram_percentile(const struct histogram *histogram, double part);
void histogram_print(const struct histogram *histogram, const char *name,
		     bool buckets);
uint64_t now_ns(void);

/*
 * A line "vgpu-test: NAME: pass" or "..: FAIL: why", or "..: skip: why"; counted.
 * Returns @ok.
 */
bool report(const char *name, bool ok, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void report_skip(const char *name, const char *why);
/* The same of a function of libvgpu that had to return @want. */
bool report_result(const char *name, int got, int want);

/* Opens what the command line says, or reports of @name. */
struct vgpu *open_device(const struct options *options, const char *name);

/* The request of a job that takes so long; its bytes. */
size_t make_spin(void *request, size_t room, uint64_t ns);

/* The original vGPU's Test 2 and Test 3, by registers as it has them. */
void test_identity(const struct options *options);
void test_alone(const struct options *options);
/* Every operation, with its results checked. */
void test_operations(const struct options *options);
/* Large requests, shared memory, requests that are wrong, poll(), batches. */
void test_memory(const struct options *options);
/* One request at a time; many in flight; from several processes. */
void test_stress(const struct options *options);
void test_batch(const struct options *options);
void test_concurrent(const struct options *options);
/* A depth of jobs, for a time. */
void test_load(const struct options *options);
/* The same once, while something happens to the device. */
void test_inflight(const struct options *options);

#endif /* VGPU_TEST_H */
