/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-test: "Testing the Changes" of the original vGPU, through resource0 as it does it,
 * whether a driver is bound or not.
 */

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

/* The registers of a device: those of the function that a node is for. */
static int open_registers(const struct options *options, struct vgpu **vgpu)
{
	const char *device = options->device ? options->device : "vgpu0";
	const char *slash = strrchr(device, '/');
	char link[PATH_MAX], target[PATH_MAX];

	if (strchr(device, ':'))
		return vgpu_init(device, vgpu);
	snprintf(link, sizeof(link), "/sys/class/vgpu/%.64s/device",
		 slash ? slash + 1 : device);
	if (!realpath(link, target))
		/* No driver: the first function. */
		return vgpu_init(NULL, vgpu);
	return vgpu_init(strrchr(target, '/') + 1, vgpu);
}

/* Test 2: "Protocol version: should be 0x00010000; Capabilities". */
void test_identity(const struct options *options)
{
	struct vgpu_info info, through;
	struct vgpu *vgpu;
	int ret = open_registers(options, &vgpu);

	if (!report_result("registers", ret, 0))
		return;
	ret = vgpu_get_info(vgpu, &info);
	vgpu_cleanup(vgpu);
	if (!report_result("read registers", ret, 0))
		return;
	printf("Protocol version: 0x%08x\n", info.protocol_version);
	printf("Capabilities: 0x%08x\n", info.capabilities);
	report("protocol version", info.protocol_version == 0x00010000,
	       "0x%08x", info.protocol_version);
	report("basic capability", info.capabilities & 1, "0x%08x",
	       info.capabilities);
	vgpu = open_device(options, "open");
	if (!vgpu)
		return;
	ret = vgpu_get_info(vgpu, &through);
	vgpu_cleanup(vgpu);
	if (!report_result("info", ret, 0))
		return;
	report("driver and registers agree",
	       through.protocol_version == info.protocol_version &&
		       through.capabilities == info.capabilities &&
		       through.vm_id == info.vm_id &&
		       through.pool_id == info.pool_id &&
		       through.priority == info.priority,
	       "vm %u %u, pool %u %u, priority %u %u", through.vm_id,
	       info.vm_id, through.pool_id, info.pool_id, through.priority,
	       info.priority);
	printf("vgpu-test: device vm_id=%u pool=%c priority=%u mode=%u"
	       " ring=%u interrupts=%u max_bytes=%u\n",
	       through.vm_id, (char)through.pool_id, through.priority,
	       through.mode, through.ring_entries,
	       through.flags & VGPU_INFO_INTERRUPTS, through.max_bytes);
}

/* 16 bytes that are no request: nobody looks at them. */
static int ask_nobody(struct vgpu *vgpu, size_t bytes)
{
	uint8_t request[16] = { 0 }, response[64];
	size_t length;

	return vgpu_execute(vgpu, request, bytes, response, sizeof(response),
			    &length, 30000);
}

/* Test 3: "Status: should be 3 (ERROR); Error code: should be 3". */
void test_alone(const struct options *options)
{
	struct vgpu *vgpu;
	int ret = open_registers(options, &vgpu);

	if (!report_result("registers alone", ret, 0))
		return;
	ret = ask_nobody(vgpu, 16);
	printf("Status: %u\nError code: %d\n", ret > 0 ? 3 : 2, ret);
	report_result("no mediator, by registers", ret,
		      VGPU_ERROR_MEDIATOR_UNAVAILABLE);
	ret = ask_nobody(vgpu, 0);
	report("length 0, by registers",
	       ret == VGPU_ERROR_REQUEST_TOO_LARGE ||
		       ret == VGPU_ERROR_INVALID_LENGTH,
	       "%d: %s", ret, vgpu_error_text(ret));
	vgpu_cleanup(vgpu);
	vgpu = open_device(options, "open");
	if (!vgpu)
		return;
	report_result("no mediator", ask_nobody(vgpu, 16),
		      VGPU_ERROR_MEDIATOR_UNAVAILABLE);
	report_result("no mediator, again", vgpu_nop(vgpu),
		      VGPU_ERROR_MEDIATOR_UNAVAILABLE);
	vgpu_cleanup(vgpu);
}
