// SPDX-License-Identifier: Apache-2.0
/*
 * Does the device do what it is told? Random copies and fills, and the same done
 * by the CPU in a second copy of the memory, which must come out equal: the
 * bytes asked for and no others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Arbitrary: enough for odd offsets, page borders and a full ring. */
#define VERIFY_BYTES (256u << 10)
#define BATCHES 16
#define BATCH 64
/* Words of device memory that the CPU touches; a page has more. */
#define CPU_WORDS 64

/* The same memory, as it should be. */
struct model {
	unsigned char *src;
	unsigned char *dst;
	unsigned char *local;
	size_t local_size;
};

static void randomize(struct bench *bench, void *data, size_t size)
{
	unsigned char *bytes = data;

	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		const uint64_t value = next_random(bench);

		memcpy(bytes + i, &value, sizeof(value));
	}
}

/* A range in @size bytes, mostly short. */
static void pick(struct bench *bench, size_t size, size_t *offset,
		 uint32_t *length)
{
	const size_t most = next_random(bench) % 4 ? 256 : size / 2;

	*length = (uint32_t)(1 + next_random(bench) % most);
	*offset = next_random(bench) % (size - *length + 1);
}

static void model_fill(unsigned char *at, uint64_t pattern, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		at[i] = (unsigned char)(pattern >> (i % 8 * 8));
}

static int stage_fill(struct bench *bench, struct lane *lane,
		      struct model *model, bool local, uint64_t cookie)
{
	const uint64_t pattern = next_random(bench);
	uint32_t length;
	size_t offset;

	pick(bench, local ? model->local_size : VERIFY_BYTES, &offset, &length);
	model_fill((local ? model->local : model->dst) + offset, pattern,
		   length);
	return mockaccel_fill(lane->queue, local ? NULL : lane->dst, offset,
			      pattern, length, cookie);
}

static int stage_copy(struct bench *bench, struct lane *lane,
		      struct model *model, bool from_local, bool to_local,
		      uint64_t cookie)
{
	const size_t src_size = from_local ? model->local_size : VERIFY_BYTES;
	const size_t dst_size = to_local ? model->local_size : VERIFY_BYTES;
	size_t src_offset, dst_offset;
	uint32_t length;

	pick(bench, src_size < dst_size ? src_size : dst_size, &src_offset,
	     &length);
	dst_offset = next_random(bench) % (dst_size - length + 1);
	memmove((to_local ? model->local : model->dst) + dst_offset,
		(from_local ? model->local : model->src) + src_offset, length);
	return mockaccel_copy(lane->queue, to_local ? NULL : lane->dst,
			      dst_offset, from_local ? NULL : lane->src,
			      src_offset, length, cookie);
}

static int stage_any(struct bench *bench, struct lane *lane,
		     struct model *model, uint64_t cookie)
{
	const uint64_t kind = next_random(bench) % 8;
	const bool local = model->local_size;

	if (kind == 0)
		return mockaccel_nop(lane->queue, cookie);
	if (kind <= 2)
		return stage_fill(bench, lane, model, local && kind == 2,
				  cookie);
	/* From and to the same memory is not asked for: that may overlap. */
	return stage_copy(bench, lane, model, local && kind == 3,
			  local && kind == 4, cookie);
}

static void mismatch(struct verdict *verdict, const char *what, uint64_t index,
		     uint64_t expected, uint64_t got)
{
	/* The first ones tell enough. */
	if (verdict->mismatches++ < 8)
		fprintf(stderr,
			"mismatch: %s %llu: expected 0x%llx, got 0x%llx\n",
			what, (unsigned long long)index,
			(unsigned long long)expected, (unsigned long long)got);
}

static void compare(struct verdict *verdict, const char *what,
		    const volatile unsigned char *got,
		    const unsigned char *expected, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (got[i] != expected[i]) {
			mismatch(verdict, what, i, expected[i], got[i]);
			return;
		}
}

static bool verify_batches(struct bench *bench, struct lane *lane,
			   struct model *model, struct verdict *verdict)
{
	struct mockaccel_done done[BATCH];
	uint64_t cookies[BATCH];

	for (int batch = 0; batch < BATCHES; batch++) {
		for (int i = 0; i < BATCH; i++) {
			int ret;

			cookies[i] = next_random(bench);
			ret = stage_any(bench, lane, model, cookies[i]);
			if (ret)
				return report("stage an operation", ret);
		}
		if (!run_batch(bench, lane, done, BATCH))
			return false;
		verdict->operations += BATCH;
		for (int i = 0; i < BATCH; i++) {
			if (done[i].cookie != cookies[i])
				mismatch(verdict, "cookie of operation",
					 (uint64_t)i, cookies[i],
					 done[i].cookie);
			if (done[i].status)
				mismatch(verdict, "status of operation",
					 (uint64_t)i, 0,
					 (uint64_t)done[i].status);
		}
		compare(verdict, "byte of the target", lane->dst->data,
			model->dst, VERIFY_BYTES);
	}
	compare(verdict, "byte of the source", lane->src->data, model->src,
		VERIFY_BYTES);
	return true;
}

/* What the device must refuse, and go on after that. */
static bool verify_errors(struct bench *bench, struct lane *lane,
			  struct verdict *verdict)
{
	const bool local = bench->engine.memory_bytes;
	const int expected[] = {
		MOCK_ACCEL_COMPLETION_BAD_LENGTH,
		local ? MOCK_ACCEL_COMPLETION_OUT_OF_RANGE :
			MOCK_ACCEL_COMPLETION_BAD_FLAGS,
		MOCK_ACCEL_COMPLETION_OK,
	};
	struct mockaccel_done done[3];

	if (mockaccel_fill(lane->queue, lane->dst, 0, 0, 0, 0) ||
	    mockaccel_fill(lane->queue, NULL, UINT64_MAX - 7, 0, 8, 1) ||
	    mockaccel_nop(lane->queue, 2))
		return report("stage an operation", -EINVAL);
	if (!run_batch(bench, lane, done, 3))
		return false;
	verdict->operations += 3;
	for (int i = 0; i < 3; i++)
		if (done[i].status != expected[i])
			mismatch(verdict, "status of bad operation",
				 (uint64_t)i, (uint64_t)expected[i],
				 (uint64_t)done[i].status);
	return true;
}

/* One copy of the whole checked part of device memory, in or out. */
static bool move_local(struct bench *bench, struct lane *lane, bool in,
		       uint32_t size)
{
	struct mockaccel_done done;
	const int ret = in ? mockaccel_copy(lane->queue, NULL, 0, lane->src, 0,
					    size, 0) :
			     mockaccel_copy(lane->queue, lane->dst, 0, NULL, 0,
					    size, 0);

	if (ret)
		return report("stage an operation", ret);
	if (!run_batch(bench, lane, &done, 1))
		return false;
	return !done.status || report(mockaccel_status_name(done.status), -EIO);
}

/*
 * Each access of the CPU may cost a trap into the device's process: a few words
 * are written and read by it, the rest by the device.
 */
static bool verify_lane(struct bench *bench, struct lane *lane,
			volatile uint64_t *memory, struct model *model,
			struct verdict *verdict)
{
	const uint32_t local_size = (uint32_t)model->local_size;

	randomize(bench, lane->src->data, VERIFY_BYTES);
	memcpy(model->src, lane->src->data, VERIFY_BYTES);
	if (local_size && !move_local(bench, lane, true, local_size))
		return false;
	memcpy(model->local, model->src, local_size);
	for (size_t i = 0; local_size && i < CPU_WORDS; i++) {
		const uint64_t value = next_random(bench);

		memory[i] = value;
		memcpy(model->local + i * sizeof(value), &value, sizeof(value));
	}
	memcpy(model->dst, lane->dst->data, VERIFY_BYTES);
	if (!verify_batches(bench, lane, model, verdict) ||
	    !verify_errors(bench, lane, verdict))
		return false;
	if (!local_size)
		return true;
	for (size_t i = 0; i < CPU_WORDS; i++) {
		const uint64_t value = memory[i];
		uint64_t expected;

		memcpy(&expected, model->local + i * sizeof(value),
		       sizeof(value));
		if (value != expected)
			mismatch(verdict, "word of device memory", i, expected,
				 value);
	}
	if (!move_local(bench, lane, false, local_size))
		return false;
	compare(verdict, "byte of device memory", lane->dst->data, model->local,
		local_size);
	return true;
}

bool verify(struct bench *bench, struct verdict *verdict)
{
	volatile void *memory = NULL;
	struct model model = { 0 };
	bool ok = true;

	if (bench->engine.memory_bytes) {
		const int ret = mockaccel_memory(bench->device, &memory,
						 &model.local_size);

		if (ret)
			return report("map device memory", ret);
		if (model.local_size > VERIFY_BYTES)
			model.local_size = VERIFY_BYTES;
	}
	model.src = malloc(VERIFY_BYTES);
	model.dst = malloc(VERIFY_BYTES);
	model.local = malloc(model.local_size + 1);
	if (!model.src || !model.dst || !model.local)
		ok = report("allocate", -ENOMEM);
	for (int i = 0; ok && i < bench->lane_count; i++)
		ok = verify_lane(bench, &bench->lanes[i], memory, &model,
				 verdict);
	free(model.src);
	free(model.dst);
	free(model.local);
	return ok;
}
