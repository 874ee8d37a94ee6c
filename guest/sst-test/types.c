/* SPDX-License-Identifier: Apache-2.0 */
/* sst-test: each request type, right and wrong. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

/* A line for what @ret and @response say, and a check of our own. */
static bool expect(const char *name, int ret, const struct SSTResponse *response,
		   uint32_t status, bool ok, const char *what)
{
	if (ret)
		return report(name, false, "%s", strerror(-ret));
	if (response->status != status)
		return report(name, false, "status %s",
			      sst_status_name(response->status));
	return report(name, ok, "%s", what);
}

static void test_noop(struct sst *sst, struct SSTResponse *response)
{
	int ret = sst_noop(sst, response);

	expect("noop", ret, response, SST_STATUS_OK, true, "");
}

static void test_echo(struct sst *sst, struct SSTResponse *response)
{
	uint8_t data[SST_MAX_DATA_SIZE];
	unsigned int i;
	int ret;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + 7);
	ret = sst_echo(sst, data, sizeof(data), response);
	expect("echo", ret, response, SST_STATUS_OK,
	       response->result == sizeof(data) &&
		       !memcmp(response->payload.data, data, sizeof(data)),
	       "other data came back");
}

static void test_info(struct sst *sst, struct SSTResponse *response)
{
	int ret = sst_get_info(sst, response);

	expect("get_info", ret, response, SST_STATUS_OK,
	       response->payload.info.version == SST_VERSION &&
		       response->payload.info.max_compute_units != 0,
	       "implausible values");
}

static void test_compute(struct sst *sst, struct SSTResponse *response)
{
	int ret = sst_compute(sst, 1000, 0, response);

	expect("compute", ret, response, SST_STATUS_OK,
	       response->payload.compute.cycles == response->result,
	       "cycles and result differ");
}

static void test_compute_too_much(struct sst *sst, struct SSTResponse *response)
{
	int ret = sst_compute(sst, SST_MAX_COMPUTE_UNITS + 1, 0, response);

	expect("compute_too_much", ret, response, SST_STATUS_INVALID, true, "");
}

/* More than a request holds, at an odd address. */
static void test_memory(struct sst *sst)
{
	uint8_t out[10000], in[sizeof(out)];
	const uint64_t address = 4093;
	unsigned int i;
	int ret;

	for (i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i ^ (i >> 8) ^ (unsigned int)getpid());
	memset(in, 0, sizeof(in));
	ret = sst_write_memory(sst, address, out, sizeof(out));
	if (!report("write", !ret, "%s",
		    ret < 0 ? strerror(-ret) : sst_status_name((uint32_t)ret)))
		return;
	ret = sst_read_memory(sst, address, in, sizeof(in));
	report("read", !ret && !memcmp(in, out, sizeof(out)), "%s",
	       ret < 0 ? strerror(-ret) :
	       ret	? sst_status_name((uint32_t)ret) :
			  "other data came back");
}

/* Addresses and sizes that a device must refuse. */
static void test_memory_outside(struct sst *sst, struct SSTResponse *response)
{
	struct SSTRequest *request = calloc(1, sizeof(*request));
	const struct {
		uint32_t type, size;
		uint64_t address;
	} wrong[] = {
		{ SST_REQ_READ, 1, UINT64_MAX },
		{ SST_REQ_WRITE, 1, UINT64_MAX },
		{ SST_REQ_READ, 16, UINT64_MAX - 8 },
		{ SST_REQ_READ, SST_MAX_DATA_SIZE + 1, 0 },
		{ SST_REQ_READ, UINT32_MAX, 0 },
		{ SST_REQ_WRITE, SST_MAX_DATA_SIZE - 15, 0 },
		{ SST_REQ_WRITE, UINT32_MAX, 0 },
	};
	unsigned int i;
	bool ok = request != NULL;
	int ret = 0;

	for (i = 0; ok && i < sizeof(wrong) / sizeof(*wrong); i++) {
		request->type = wrong[i].type;
		request->payload.memory.addr = wrong[i].address;
		request->payload.memory.size = wrong[i].size;
		ret = sst_ask(sst, request, response);
		ok = !ret && response->status == SST_STATUS_INVALID;
	}
	report("memory_outside", ok, "case %u: %s", i - 1,
	       ret ? strerror(-ret) : sst_status_name(response->status));
	free(request);
}

static void test_configure(struct sst *sst, struct SSTResponse *response)
{
	uint64_t before;
	int ret = sst_configure(sst, SST_PARAM_EVENT_MASK, 7, response);

	if (!expect("configure", ret, response, SST_STATUS_OK, true, ""))
		return;
	before = response->result;
	ret = sst_configure(sst, SST_PARAM_EVENT_MASK, before, response);
	expect("configure_back", ret, response, SST_STATUS_OK,
	       response->result == 7, "not the value before");
	ret = sst_configure(sst, 0xffff, 1, response);
	expect("configure_unknown", ret, response, SST_STATUS_INVALID, true, "");
}

static void test_reset(struct sst *sst, struct SSTResponse *response)
{
	int ret = sst_reset(sst, response);

	expect("reset", ret, response, SST_STATUS_OK, true, "");
}

static void test_unknown(struct sst *sst, struct SSTResponse *response)
{
	struct SSTRequest *request = calloc(1, sizeof(*request));
	int ret = -ENOMEM;

	if (request) {
		request->type = 4711;
		request->user_data = UINT64_MAX;
		ret = sst_ask(sst, request, response);
	}
	expect("unknown_type", ret, response, SST_STATUS_INVALID,
	       response->user_data == UINT64_MAX, "user_data did not come back");
	free(request);
}

/* write() and read() of sizes that are not right. */
static void test_sizes(struct sst *sst, struct SSTResponse *response)
{
	static struct SSTRequest large[2]; /* NOOP, and something after it */
	const int fd = sst_fd(sst);
	bool ok;

	ok = read(fd, response, sizeof(*response)) == -1 && errno == EAGAIN;
	report("read_nothing", ok, "%s", strerror(errno));
	ok = write(fd, large, sizeof(*large) - 1) == -1 && errno == EINVAL;
	report("write_short", ok, "%s", strerror(errno));
	ok = write(fd, large, sizeof(large)) == (ssize_t)sizeof(*large);
	report("write_long", ok, "%s", strerror(errno));
	ok = read(fd, response, sizeof(*response) - 1) == -1 && errno == EINVAL;
	report("read_short", ok, "%s", strerror(errno));
	ok = read(fd, response, sizeof(*response)) ==
	     (ssize_t)sizeof(*response);
	report("read_after_short", ok, "%s", strerror(errno));
}

void test_types(const struct options *options)
{
	struct SSTResponse *response = calloc(1, sizeof(*response));
	struct sst *sst;
	int ret = response ? sst_open(options->device, 0, &sst) : -ENOMEM;

	if (!report("open", !ret, "%s", strerror(-ret))) {
		free(response);
		return;
	}
	test_noop(sst, response);
	test_echo(sst, response);
	test_info(sst, response);
	test_compute(sst, response);
	test_compute_too_much(sst, response);
	test_memory(sst);
	test_memory_outside(sst, response);
	test_configure(sst, response);
	test_unknown(sst, response);
	test_sizes(sst, response);
	test_reset(sst, response);
	sst_close(sst);
	free(response);
}
