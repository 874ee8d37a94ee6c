/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of sst-test share. */
#ifndef SST_TEST_H
#define SST_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "libsst.h"

#define TOOL "sst-test" /* before what histogram.c prints */

/* What the command line says. */
struct options {
	const char *device;
	uint32_t count; /* requests of the stress tests, all processes together */
	uint32_t processes;
	uint32_t batch; /* requests a system call */
	uint32_t type; /* of the stress tests' requests */
	uint64_t units; /* of COMPUTE */
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
 * A line "sst-test: NAME: pass" or "..: FAIL: why", or "..: skip: why"; counted.
 * Returns @ok.
 */
bool report(const char *name, bool ok, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void report_skip(const char *name, const char *why);

/* Each of Linux SST's request types, right and wrong. */
void test_types(const struct options *options);
/* One request at a time, as Linux SST's program: write() and read(). */
void test_stress(const struct options *options);
/* Many in flight by batches. */
void test_batch(const struct options *options);
/* All of it from several processes at the same time. */
void test_concurrent(const struct options *options);
/* What Mimic's driver has beyond Linux SST's: poll, shared memory, events. */
void test_beyond(const struct options *options);
/* Commands of io_uring. */
void test_uring(const struct options *options);

#endif /* SST_TEST_H */
