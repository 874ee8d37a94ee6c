/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies. Also of ../vgpu-test, by a link there. */

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "test.h"

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Buckets: values below 8 as they are, then 8 for each power of two. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int shift = 0;

	while (ns >> shift >= 16)
		shift++;
	return ns < 8 ? (unsigned int)ns :
			shift * 8 + (unsigned int)(ns >> shift);
}

static uint64_t bucket_start(unsigned int bucket)
{
	const unsigned int shift = bucket < 16 ? 0 : bucket / 8 - 1;

	return (uint64_t)(bucket - shift * 8) << shift;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->count++;
	histogram->sum += ns;
	if (ns > histogram->most)
		histogram->most = ns;
	histogram->buckets[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	unsigned int i;

	into->count += from->count;
	into->sum += from->sum;
	if (from->most > into->most)
		into->most = from->most;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double part)
{
	const uint64_t wanted = (uint64_t)((double)histogram->count * part);
	uint64_t seen = 0;
	unsigned int i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > wanted)
			return bucket_start(i);
	}
	return histogram->most;
}

void histogram_print(const struct histogram *histogram, const char *name,
		     bool buckets)
{
	unsigned int i;

	if (!histogram->count)
		return;
	printf(TOOL ": latency test=%s count=%" PRIu64 " mean_ns=%" PRIu64
	       " p50_ns=%" PRIu64 " p90_ns=%" PRIu64 " p99_ns=%" PRIu64
	       " max_ns=%" PRIu64 "\n",
	       name, histogram->count, histogram->sum / histogram->count,
	       histogram_percentile(histogram, 0.5),
	       histogram_percentile(histogram, 0.9),
	       histogram_percentile(histogram, 0.99), histogram->most);
	for (i = 0; buckets && i < HISTOGRAM_BUCKETS; i++)
		if (histogram->buckets[i])
			printf(TOOL ": bucket test=%s from_ns=%" PRIu64
			       " count=%" PRIu64 "\n",
			       name, bucket_start(i), histogram->buckets[i]);
}
