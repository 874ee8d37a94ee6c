/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of mock-accel-bench share. */
#ifndef MOCK_ACCEL_BENCH_H
#define MOCK_ACCEL_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libmockaccel.h"

/* How long an operation may take before it counts as lost; arbitrary. */
#define TIMEOUT_MS 20000

/* One hardware ring with memory of its own. */
struct lane {
	struct mockaccel_queue *queue;
	struct mockaccel_buffer *src;
	struct mockaccel_buffer *dst;
};

/* What is tested. */
struct bench {
	const char *name;
	struct mockaccel *device;
	struct mock_accel_engine engine;
	struct lane lanes[MOCK_ACCEL_MAX_QUEUES];
	int lane_count;
	bool poll; /* look at completions instead of sleeping */
	uint64_t random;
};

/* What the correctness check found. */
struct verdict {
	uint64_t operations;
	uint64_t mismatches;
};

/* How fast one kind of operation was. */
struct figure {
	const char *operation;
	uint32_t bytes;
	uint32_t depth;
	double seconds;
	uint64_t operations;
	double latency_us; /* mean time of a batch of `depth` */
	double latency_min_us;
	double latency_max_us;
};

/* Prints to stderr what failed; @error is a negative errno. Returns false. */
bool report(const char *what, int error);

/* A number that is different each time, the same in each run. */
uint64_t next_random(struct bench *bench);

/*
 * Submits the batch of a lane and takes all completions into @done. Returns
 * false, and says why, if that does not work in time.
 */
bool run_batch(struct bench *bench, struct lane *lane,
	       struct mockaccel_done *done, int count);

/* Copies and fills with all sizes and offsets, checked byte by byte. */
bool verify(struct bench *bench, struct verdict *verdict);

/* Measures for @seconds over all lanes. */
bool measure(struct bench *bench, bool fill, uint32_t bytes, uint32_t depth,
	     double seconds, struct figure *figure);

/* Seconds since some moment. */
double now_s(void);

#endif /* MOCK_ACCEL_BENCH_H */
