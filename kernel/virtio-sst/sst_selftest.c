// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: tests of the driver and the device from within
 */

/**
 * DOC: self-tests
 *
 * With test_mode=1 a write to the parameter run_tests sends requests of each
 * type to every device, as a program would, and looks at the answers. Reading
 * the parameter gives the result, "passed P, failed F, skipped S"; the log has
 * a line for each test.
 */

#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "sst_file.h"
#include "sst_selftest.h"
#include "sst_submit.h"

static bool test_mode;
module_param(test_mode, bool, 0444);
MODULE_PARM_DESC(test_mode, "run_tests may be written");

/* A device with tests. */
struct sst_selftest_device {
	struct list_head link;
	struct sst_device *dev;
};

static DEFINE_MUTEX(sst_selftest_lock); /* protects all below */
static LIST_HEAD(sst_selftest_devices);
static u32 sst_selftest_passed, sst_selftest_failed, sst_selftest_skipped;

/* How many requests the test of many has in flight. */
#define SST_SELFTEST_MANY 256

/* Makes a call of @request; NULL without memory. */
static struct sst_call *sst_selftest_call(struct sst_file *file,
					  const struct SSTRequest *request)
{
	struct sst_call *call = sst_call_new(file);

	if (!call)
		return NULL;
	memcpy(call->out, request, sizeof(*request));
	call->request_bytes = sizeof(*request);
	call->response_bytes = sizeof(struct SSTResponse);
	call->user_data = request->user_data;
	if (!sst_submit_prepare(file, call))
		return call;
	mimic_entry_put(&call->entry);
	return NULL;
}

/* Submits @request; 0 or a negative errno. */
static int sst_selftest_submit(struct sst_file *file,
			       const struct SSTRequest *request)
{
	struct sst_call *call = sst_selftest_call(file, request);
	LIST_HEAD(calls);
	int ret;

	if (!call)
		return -ENOMEM;
	list_add(&call->link, &calls);
	ret = sst_submit_calls(file, &calls, SST_ANY_QUEUE, false);
	if (ret < 0)
		sst_submit_forget(call);
	return ret < 0 ? ret : 0;
}

/* Waits for the next answer; NULL by a signal. Each ends by its timeout. */
static struct sst_call *sst_selftest_take(struct sst_file *file)
{
	if (wait_event_killable(file->waitq,
				mimic_ledger_has_done(&file->ledger)))
		return NULL;
	return to_sst_call(mimic_ledger_take(&file->ledger));
}

/* Asks and waits; 0 and the response, or a negative errno. */
static int sst_selftest_ask(struct sst_file *file,
			    const struct SSTRequest *request,
			    struct SSTResponse *response)
{
	struct sst_call *call;
	int ret = sst_selftest_submit(file, request);

	if (ret)
		return ret;
	call = sst_selftest_take(file);
	if (!call)
		return -EINTR;
	ret = call->entry.error;
	memset(response, 0, sizeof(*response));
	if (!ret)
		memcpy(response, call->in, call->used);
	if (!ret && response->user_data != request->user_data)
		ret = -EBADMSG;
	mimic_entry_put(&call->entry);
	return ret;
}

/* What each test works with. */
struct sst_selftest {
	struct sst_file *file;
	struct SSTRequest request;
	struct SSTResponse response;
};

static int sst_selftest_simple(struct sst_selftest *test, u32 type, u32 status)
{
	int ret;

	test->request.type = type;
	test->request.user_data = 0x1234567800000000ULL | type;
	ret = sst_selftest_ask(test->file, &test->request, &test->response);
	if (ret)
		return ret;
	return test->response.status == status ? 0 : -EPROTO;
}

static int sst_selftest_noop(struct sst_selftest *test)
{
	return sst_selftest_simple(test, SST_REQ_NOOP, SST_STATUS_OK);
}

static int sst_selftest_echo(struct sst_selftest *test)
{
	u32 i;
	int ret;

	for (i = 0; i < SST_MAX_DATA_SIZE; i++)
		test->request.payload.data[i] = i * 7;
	ret = sst_selftest_simple(test, SST_REQ_ECHO, SST_STATUS_OK);
	if (ret)
		return ret;
	return memcmp(test->request.payload.data, test->response.payload.data,
		      SST_MAX_DATA_SIZE) ?
		       -EPROTO :
		       0;
}

static int sst_selftest_info(struct sst_selftest *test)
{
	int ret = sst_selftest_simple(test, SST_REQ_GET_INFO, SST_STATUS_OK);

	if (ret)
		return ret;
	return test->response.payload.info.version ? 0 : -EPROTO;
}

static int sst_selftest_compute(struct sst_selftest *test)
{
	int ret;

	test->request.payload.compute.compute_units = 10;
	ret = sst_selftest_simple(test, SST_REQ_COMPUTE, SST_STATUS_OK);
	/* Without a simulator there is nobody to compute. */
	if (ret == -EPROTO && test->response.status == SST_STATUS_NO_DEVICE)
		return -EOPNOTSUPP;
	return ret;
}

/* Writes to device memory and reads back. */
static int sst_selftest_memory(struct sst_selftest *test)
{
	u8 *data = test->request.payload.data + 16;
	u32 i;
	int ret;

	test->request.payload.memory.addr = 4096;
	test->request.payload.memory.size = 64;
	for (i = 0; i < 64; i++)
		data[i] = 255 - i;
	ret = sst_selftest_simple(test, SST_REQ_WRITE, SST_STATUS_OK);
	/* Peers of Linux SST have no memory. */
	if (ret == -EPROTO && (test->response.status == SST_STATUS_NO_DEVICE ||
			       test->response.status == SST_STATUS_INVALID))
		return -EOPNOTSUPP;
	if (ret)
		return ret;
	ret = sst_selftest_simple(test, SST_REQ_READ, SST_STATUS_OK);
	if (ret)
		return ret;
	return memcmp(data, test->response.payload.data, 64) ? -EPROTO : 0;
}

static int sst_selftest_unknown(struct sst_selftest *test)
{
	return sst_selftest_simple(test, 0xdeadbeef, SST_STATUS_INVALID);
}

/* Many in flight: each is answered once. */
static int sst_selftest_many(struct sst_selftest *test)
{
	DECLARE_BITMAP(seen, SST_SELFTEST_MANY) = {};
	u32 sent, got = 0;
	int ret = 0;

	test->request.type = SST_REQ_NOOP;
	for (sent = 0; sent < SST_SELFTEST_MANY && !ret; sent++) {
		test->request.user_data = sent;
		ret = sst_selftest_submit(test->file, &test->request);
	}
	sent -= !!ret;
	for (; got < sent; got++) {
		struct sst_call *call = sst_selftest_take(test->file);

		if (!call)
			return -EINTR;
		if (call->entry.error)
			ret = call->entry.error;
		else if (call->user_data >= SST_SELFTEST_MANY ||
			 test_and_set_bit(call->user_data, seen))
			ret = -EPROTO;
		mimic_entry_put(&call->entry);
	}
	return ret;
}

static const struct {
	const char *name;
	int (*run)(struct sst_selftest *test);
} sst_selftests[] = {
	{ "noop", sst_selftest_noop },
	{ "echo", sst_selftest_echo },
	{ "get_info", sst_selftest_info },
	{ "compute", sst_selftest_compute },
	{ "memory", sst_selftest_memory },
	{ "unknown type", sst_selftest_unknown },
	{ "many in flight", sst_selftest_many },
};

static void sst_selftest_count(struct sst_device *dev, const char *name,
			       int ret)
{
	if (!ret)
		sst_selftest_passed++;
	else if (ret == -EOPNOTSUPP)
		sst_selftest_skipped++;
	else
		sst_selftest_failed++;
	dev_info(&dev->base.dev, "self-test %s: %s (%d)\n", name,
		 !ret		      ? "passed" :
		 ret == -EOPNOTSUPP ? "skipped" :
				      "FAILED",
		 ret);
}

static int sst_selftest_run(struct sst_device *dev)
{
	struct sst_selftest *test;
	u32 i;

	test = kvzalloc(sizeof(*test), GFP_KERNEL);
	if (!test)
		return -ENOMEM;
	test->file = sst_file_new(dev);
	if (!test->file) {
		kvfree(test);
		return -ENOMEM;
	}
	for (i = 0; i < ARRAY_SIZE(sst_selftests); i++) {
		memset(&test->request, 0, sizeof(test->request));
		sst_selftest_count(dev, sst_selftests[i].name,
				   sst_selftests[i].run(test));
	}
	sst_file_close(test->file);
	kvfree(test);
	return 0;
}

static int sst_selftest_set(const char *value, const struct kernel_param *param)
{
	struct sst_selftest_device *device;
	int ret = 0;
	bool run;

	if (kstrtobool(value, &run))
		return -EINVAL;
	if (!test_mode)
		return -EPERM;
	if (!run)
		return 0;
	if (mutex_lock_interruptible(&sst_selftest_lock))
		return -EINTR;
	sst_selftest_passed = sst_selftest_failed = sst_selftest_skipped = 0;
	if (list_empty(&sst_selftest_devices))
		ret = -ENODEV;
	list_for_each_entry(device, &sst_selftest_devices, link)
		if (!ret)
			ret = sst_selftest_run(device->dev);
	mutex_unlock(&sst_selftest_lock);
	return ret;
}

static int sst_selftest_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "passed %u, failed %u, skipped %u\n",
			  READ_ONCE(sst_selftest_passed),
			  READ_ONCE(sst_selftest_failed),
			  READ_ONCE(sst_selftest_skipped));
}

static const struct kernel_param_ops sst_selftest_ops = {
	.set = sst_selftest_set,
	.get = sst_selftest_get,
};
module_param_cb(run_tests, &sst_selftest_ops, NULL, 0644);
MODULE_PARM_DESC(run_tests, "write 1: test all devices (test_mode=1); read: the result");

/**
 * sst_selftest_add() - let the tests know of a device
 * @dev: runs; sst_selftest_remove() comes before it goes
 */
void sst_selftest_add(struct sst_device *dev)
{
	struct sst_selftest_device *device;

	if (!test_mode)
		return;
	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return;
	device->dev = dev;
	mutex_lock(&sst_selftest_lock);
	list_add_tail(&device->link, &sst_selftest_devices);
	mutex_unlock(&sst_selftest_lock);
}

/**
 * sst_selftest_remove() - the tests forget a device
 * @dev: may be unknown
 *
 * Context: may sleep: waits for tests that run.
 */
void sst_selftest_remove(struct sst_device *dev)
{
	struct sst_selftest_device *device, *next;

	mutex_lock(&sst_selftest_lock);
	list_for_each_entry_safe(device, next, &sst_selftest_devices, link) {
		if (device->dev != dev)
			continue;
		list_del(&device->link);
		kfree(device);
	}
	mutex_unlock(&sst_selftest_lock);
}
