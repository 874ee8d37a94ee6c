/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-test: every operation, with results checked against our own. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define COUNT 1000u /* elements of vectors; more than one 1 KiB request holds */
#define SIDE 24u /* of matrices */

static void test_simple(struct vgpu *vgpu)
{
	struct vgpu_device_info info;
	uint32_t sum = 0;

	report_result("nop", vgpu_nop(vgpu), 0);
	if (report_result("sum", vgpu_sum(vgpu, 0xfffffff0u, 0x20, &sum), 0))
		report("sum is right", sum == 0x10, "%" PRIu32, sum);
	if (report_result("device info", vgpu_device_info(vgpu, &info), 0))
		printf("vgpu-test: backend=%s name=\"%s\" memory=%" PRIu64
		       " units=%u weight=%u priority=%u\n",
		       info.backend, info.name, info.memory_bytes,
		       info.compute_units, info.weight, info.priority);
	report_result("synchronize", vgpu_synchronize(vgpu), 0);
}

/* Allocates and fills, or reports and returns 0. */
static uint64_t upload(struct vgpu *vgpu, const char *name, const void *data,
		       size_t bytes)
{
	uint64_t handle = 0;
	int ret = vgpu_alloc(vgpu, bytes, &handle);

	if (!ret && data)
		ret = vgpu_write_memory(vgpu, handle, 0, data, bytes);
	if (ret)
		report(name, false, "upload: %s", vgpu_error_text(ret));
	return ret ? 0 : handle;
}

static void test_buffers(struct vgpu *vgpu)
{
	uint8_t data[3000], back[3000];
	uint64_t a, b;
	size_t i;

	a = upload(vgpu, "buffers", NULL, sizeof(data));
	b = upload(vgpu, "buffers", NULL, sizeof(data));
	if (!a || !b)
		return;
	memset(back, 0xee, sizeof(back));
	report_result("read fresh memory",
		      vgpu_read_memory(vgpu, a, 0, back, sizeof(back)), 0);
	for (i = 0; i < sizeof(back) && !back[i]; i++)
		;
	report("fresh memory is zero", i == sizeof(back), "byte %zu", i);
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + 3);
	report_result("write", vgpu_write_memory(vgpu, a, 0, data, sizeof(data)),
		      0);
	report_result("copy", vgpu_copy_memory(vgpu, b, 100, a, 500, 2000), 0);
	report_result("fill", vgpu_fill_memory(vgpu, b, 0, 50, 0x5a), 0);
	report_result("read", vgpu_read_memory(vgpu, b, 0, back, sizeof(back)),
		      0);
	for (i = 0; i < sizeof(back); i++) {
		const uint8_t want = i < 50 ? 0x5a :
				     i < 100 || i >= 2100 ? 0 :
							    data[i + 400];

		if (back[i] != want)
			break;
	}
	report("what was copied and filled", i == sizeof(back), "byte %zu", i);
	report_result("read beyond the end",
		      vgpu_read_memory(vgpu, b, sizeof(data) - 4, back, 8),
		      VGPU_ERROR_HANDLE);
	report_result("free", vgpu_free(vgpu, a), 0);
	report_result("free again", vgpu_free(vgpu, a), VGPU_ERROR_HANDLE);
	report_result("free the other", vgpu_free(vgpu, b), 0);
}

static void test_vectors(struct vgpu *vgpu)
{
	float a[COUNT], b[COUNT], got[COUNT];
	uint64_t da, db, dc;
	size_t i;

	for (i = 0; i < COUNT; i++) {
		a[i] = (float)i * 0.5f;
		b[i] = 1000.0f - (float)i;
	}
	da = upload(vgpu, "vectors", a, sizeof(a));
	db = upload(vgpu, "vectors", b, sizeof(b));
	dc = upload(vgpu, "vectors", NULL, sizeof(got));
	if (!da || !db || !dc)
		return;
	{
		const struct vgpu_arg args[] = { vgpu_arg_memory(dc, 0),
						 vgpu_arg_memory(da, 0),
						 vgpu_arg_memory(db, 0),
						 vgpu_arg_u64(COUNT) };

		report_result("vector_add",
			      vgpu_launch(vgpu, "vector_add", args, 4, NULL), 0);
	}
	report_result("read sums",
		      vgpu_read_memory(vgpu, dc, 0, got, sizeof(got)), 0);
	for (i = 0; i < COUNT && got[i] == a[i] + b[i]; i++)
		;
	report("vector_add is right", i == COUNT, "element %zu", i);
	{
		const struct vgpu_arg args[] = { vgpu_arg_memory(db, 0),
						 vgpu_arg_memory(da, 0),
						 vgpu_arg_u64(COUNT),
						 vgpu_arg_f32(2.0f) };

		report_result("saxpy", vgpu_launch(vgpu, "saxpy", args, 4, NULL),
			      0);
	}
	report_result("read saxpy",
		      vgpu_read_memory(vgpu, db, 0, got, sizeof(got)), 0);
	for (i = 0; i < COUNT && got[i] == b[i] + 2.0f * a[i]; i++)
		;
	report("saxpy is right", i == COUNT, "element %zu", i);
	vgpu_free(vgpu, da);
	vgpu_free(vgpu, db);
	vgpu_free(vgpu, dc);
}

static void test_reductions(struct vgpu *vgpu)
{
	uint64_t hash = 0xcbf29ce484222325u, got = 0, dx, dout;
	float x[COUNT], sum = 0;
	double want = 0;
	size_t i;

	for (i = 0; i < COUNT; i++) {
		x[i] = (float)(i % 10);
		want += x[i];
	}
	for (i = 0; i < sizeof(x); i++)
		hash = (hash ^ ((uint8_t *)x)[i]) * 0x100000001b3u;
	dx = upload(vgpu, "reductions", x, sizeof(x));
	dout = upload(vgpu, "reductions", NULL, 8);
	if (!dx || !dout)
		return;
	{
		const struct vgpu_arg args[] = { vgpu_arg_memory(dout, 0),
						 vgpu_arg_memory(dx, 0),
						 vgpu_arg_u64(COUNT) };

		report_result("reduce_sum",
			      vgpu_launch(vgpu, "reduce_sum", args, 3, NULL), 0);
		vgpu_read_memory(vgpu, dout, 0, &sum, sizeof(sum));
		report("reduce_sum is right", fabs(sum - want) < 0.5,
		       "%f, want %f", (double)sum, want);
	}
	{
		const struct vgpu_arg args[] = { vgpu_arg_memory(dout, 0),
						 vgpu_arg_memory(dx, 0),
						 vgpu_arg_u64(sizeof(x)) };

		report_result("checksum",
			      vgpu_launch(vgpu, "checksum", args, 3, NULL), 0);
		vgpu_read_memory(vgpu, dout, 0, &got, sizeof(got));
		report("checksum is right", got == hash,
		       "0x%" PRIx64 ", want 0x%" PRIx64, got, hash);
	}
	vgpu_free(vgpu, dx);
	vgpu_free(vgpu, dout);
}

static void test_gemm(struct vgpu *vgpu)
{
	float a[SIDE * SIDE], b[SIDE * SIDE], got[SIDE * SIDE];
	uint64_t da, db, dc;
	size_t i, wrong = 0;

	for (i = 0; i < SIDE * SIDE; i++) {
		a[i] = (float)(i % 7);
		b[i] = (float)(i % 5) - 2.0f;
	}
	da = upload(vgpu, "gemm", a, sizeof(a));
	db = upload(vgpu, "gemm", b, sizeof(b));
	dc = upload(vgpu, "gemm", NULL, sizeof(got));
	if (!da || !db || !dc)
		return;
	{
		const struct vgpu_arg args[] = {
			vgpu_arg_memory(dc, 0), vgpu_arg_memory(da, 0),
			vgpu_arg_memory(db, 0), vgpu_arg_u64(SIDE),
			vgpu_arg_u64(SIDE),	vgpu_arg_u64(SIDE)
		};

		report_result("gemm", vgpu_launch(vgpu, "gemm", args, 6, NULL),
			      0);
	}
	report_result("read product",
		      vgpu_read_memory(vgpu, dc, 0, got, sizeof(got)), 0);
	for (i = 0; i < SIDE * SIDE; i++) {
		float want = 0;
		size_t k;

		for (k = 0; k < SIDE; k++)
			want += a[i / SIDE * SIDE + k] * b[k * SIDE + i % SIDE];
		/* Whole numbers: any order of sums gives the same. */
		wrong += got[i] != want;
	}
	report("gemm is right", !wrong, "%zu elements", wrong);
	vgpu_free(vgpu, da);
	vgpu_free(vgpu, db);
	vgpu_free(vgpu, dc);
}

/* Two sums and a third that no mediator knows, in one request. */
static void test_batches(struct vgpu *vgpu)
{
	uint8_t request[512], part[128], response[512];
	struct vgpu_message batch, sum;
	struct vgpu_answer answer, each;
	size_t bytes, place = 0;
	uint32_t i;
	int ret;

	vgpu_message_begin(&batch, request, sizeof(request), VGPU_OP_BATCH);
	for (i = 0; i < 3; i++) {
		vgpu_message_begin(&sum, part, sizeof(part),
				   i == 2 ? 0x7777 : VGPU_OP_SUM);
		vgpu_message_u32(&sum, i);
		vgpu_message_u32(&sum, 100);
		vgpu_message_add(&batch, &sum);
	}
	ret = vgpu_execute(vgpu, request, (size_t)vgpu_message_end(&batch),
			   response, sizeof(response), &bytes, 60000);
	if (!report_result("batch of operations", ret, 0) ||
	    !report_result("its response", vgpu_parse(response, bytes, &answer),
			   0))
		return;
	for (i = 0; i < 2; i++) {
		ret = vgpu_parse_next(&answer, &place, &each);
		report("a sum of the batch",
		       !ret && !each.status && each.results[0] == 100 + i,
		       "%d, status %u, result %u", ret, each.status,
		       each.results[0]);
	}
	ret = vgpu_parse_next(&answer, &place, &each);
	report("the batch ends with what fails",
	       !ret && each.status == VGPU_ERROR_UNSUPPORTED &&
		       vgpu_parse_next(&answer, &place, &each) == -ENOENT,
	       "%d, status %u", ret, each.status);
}

static void test_wrong(struct vgpu *vgpu)
{
	struct vgpu_arg args[VGPU_MAX_ARGS] = { vgpu_arg_u64(1) };
	char ptx[] = ".version 7.0\nthis is no PTX\n";
	uint64_t module = 0;
	int ret;

	ret = vgpu_launch(vgpu, "no_such_kernel", args, 1, NULL);
	report("no such kernel", ret > 0, "%d: %s", ret, vgpu_error_text(ret));
	ret = vgpu_launch(vgpu, "spin", args, 0, NULL);
	report("a kernel without its argument", ret > 0, "%d: %s", ret,
	       vgpu_error_text(ret));
	ret = vgpu_load_module(vgpu, ptx, sizeof(ptx), &module);
	report("text that is no PTX", ret > 0, "%d: %s", ret,
	       vgpu_error_text(ret));
	report_result("nop after errors", vgpu_nop(vgpu), 0);
}

void test_operations(const struct options *options)
{
	struct vgpu *vgpu = open_device(options, "operations");

	if (!vgpu)
		return;
	test_simple(vgpu);
	test_buffers(vgpu);
	test_vectors(vgpu);
	test_reductions(vgpu);
	test_gemm(vgpu);
	test_batches(vgpu);
	test_wrong(vgpu);
	vgpu_cleanup(vgpu);
}
