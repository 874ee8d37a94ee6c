// SPDX-License-Identifier: Apache-2.0
/* How fast is the device? Batches of equal operations on all rings at once. */
#include <errno.h>
#include <time.h>

#include "bench.h"

double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Takes @count completions of a lane that were submitted. */
static bool collect(struct bench *bench, struct lane *lane,
		    struct mockaccel_done *done, int count)
{
	const double end = now_s() + TIMEOUT_MS * 1e-3;
	int have = 0;

	while (have < count) {
		const int got =
			mockaccel_reap(lane->queue, done + have, count - have);
		int ret;

		have += got;
		if (got)
			continue;
		if (bench->poll) {
			if (now_s() > end)
				return report("poll", -ETIMEDOUT);
			continue;
		}
		ret = mockaccel_wait(lane->queue, (uint32_t)(count - have),
				     TIMEOUT_MS);
		if (ret < 0 && ret != -EINTR)
			return report("wait", ret);
	}
	return true;
}

static bool submit(struct lane *lane)
{
	const int ret = mockaccel_flush(lane->queue);

	return !ret || report("submit", ret < 0 ? ret : -ENOBUFS);
}

bool run_batch(struct bench *bench, struct lane *lane,
	       struct mockaccel_done *done, int count)
{
	return submit(lane) && collect(bench, lane, done, count);
}

/* Depth operations of a lane, one behind the other in its memory. */
static bool stage(struct lane *lane, bool fill, uint32_t bytes, uint32_t depth)
{
	size_t offset = 0;

	for (uint32_t i = 0; i < depth; i++, offset += bytes) {
		int ret;

		if (offset + bytes > lane->dst->size)
			offset = 0;
		ret = fill ? mockaccel_fill(lane->queue, lane->dst, offset,
					    0x0123456789abcdef, bytes, i) :
			     mockaccel_copy(lane->queue, lane->dst, offset,
					    lane->src, offset, bytes, i);
		if (ret)
			return report("stage an operation", ret);
	}
	return true;
}

/* One batch on each lane: submitted first, then collected. */
static bool run_round(struct bench *bench, bool fill, uint32_t bytes,
		      uint32_t depth)
{
	static struct mockaccel_done done[MOCK_ACCEL_MAX_SUBMIT];

	for (int i = 0; i < bench->lane_count; i++)
		if (!stage(&bench->lanes[i], fill, bytes, depth) ||
		    !submit(&bench->lanes[i]))
			return false;
	for (int i = 0; i < bench->lane_count; i++) {
		if (!collect(bench, &bench->lanes[i], done, (int)depth))
			return false;
		for (uint32_t k = 0; k < depth; k++)
			if (done[k].status || done[k].bytes != bytes) {
				fprintf(stderr,
					"mock-accel-bench: %s, %u bytes\n",
					mockaccel_status_name(done[k].status),
					done[k].bytes);
				return false;
			}
	}
	return true;
}

bool measure(struct bench *bench, bool fill, uint32_t bytes, uint32_t depth,
	     double seconds, struct figure *figure)
{
	const double start = now_s();
	double last = start, sum = 0;
	uint64_t rounds = 0;

	*figure = (struct figure){
		.operation = fill ? "fill" : "copy",
		.bytes = bytes,
		.depth = depth,
		.latency_min_us = 1e12,
	};
	do {
		double now, us;

		if (!run_round(bench, fill, bytes, depth))
			return false;
		now = now_s();
		us = (now - last) * 1e6;
		last = now;
		sum += us;
		rounds++;
		if (us < figure->latency_min_us)
			figure->latency_min_us = us;
		if (us > figure->latency_max_us)
			figure->latency_max_us = us;
	} while (last - start < seconds);
	figure->seconds = last - start;
	figure->operations = rounds * depth * (uint64_t)bench->lane_count;
	figure->latency_us = sum / (double)rounds;
	return true;
}
