/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test of libvgpu: against the registers of the original vGPU and with a
 * mediator that the test plays (libvgpu_fake.h).
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvgpu_fake.h"

static void test_without_mediator(void)
{
	struct vgpu *vgpu = open_fake(NULL);
	uint8_t request[16] = { 0 }, response[16];
	struct vgpu_info info;
	size_t bytes;

	CHECK(vgpu_get_info(vgpu, &info) == 0);
	CHECK(info.protocol_version == 0x00010000 && info.capabilities == 1);
	CHECK(info.pool_id == 'B' && info.priority == 2 && info.vm_id == 77);
	CHECK(info.mode == VGPU_MODE_REGISTERS && info.max_bytes == 1024);
	/* The original's Test 3. */
	CHECK(vgpu_execute(vgpu, request, 16, response, 16, &bytes, 1000) ==
	      VGPU_ERROR_MEDIATOR_UNAVAILABLE);
	CHECK(vgpu_execute(vgpu, request, 0, response, 16, &bytes, 1000) ==
	      VGPU_ERROR_REQUEST_TOO_LARGE);
	CHECK(vgpu_execute(vgpu, request, 1025, response, 16, &bytes, 1000) ==
	      -EMSGSIZE);
	CHECK(vgpu_read(vgpu, response, 16, &bytes) == -EAGAIN);
	CHECK(vgpu_poll(vgpu, 0) == -EAGAIN);
	CHECK(vgpu_fd(vgpu) == -1);
	CHECK(vgpu_submit_many(vgpu, NULL, 0) == -EOPNOTSUPP);
	close_fake(vgpu);
}

static void test_operations(void)
{
	struct vgpu *vgpu = open_fake(mediator);
	uint8_t data[3000], back[3000];
	uint64_t handle = 0;
	uint32_t sum = 0;
	size_t i;

	fake.busy_reads = 5;
	CHECK(vgpu_sum(vgpu, 3, 4, &sum) == 0 && sum == 7);
	CHECK(fake.now_ns > 0); /* It slept between looks. */
	fake.busy_reads = 1;
	CHECK(vgpu_nop(vgpu) == 0);
	fake.busy_reads = 1;
	CHECK(vgpu_alloc(vgpu, 4096, &handle) == 0 && handle == 5);
	close_fake(vgpu);
	/* More than 1 KiB: several requests; each is done at the first look. */
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 11);
	vgpu = open_fake(mediator);
	for (i = 0; i < sizeof(data); i += 100) {
		fake.busy_reads = 1;
		CHECK(vgpu_write_memory(vgpu, 5, i, data + i, 100) == 0);
	}
	for (i = 0; i < sizeof(data); i += 600) {
		fake.busy_reads = 1;
		CHECK(vgpu_read_memory(vgpu, 5, i, back + i, 600) == 0);
	}
	CHECK(!memcmp(data, back, sizeof(data)));
	fake.busy_reads = 1;
	CHECK(vgpu_synchronize(vgpu) == VGPU_ERROR_UNSUPPORTED);
	close_fake(vgpu);
}

/* What is constant is asked for once, not with each operation. */
static void test_constants(void)
{
	struct vgpu *vgpu = open_fake(mediator);
	const int reads = fake.constant_reads;
	uint8_t data[100] = { 0 };

	fake.busy_reads = 1;
	CHECK(vgpu_nop(vgpu) == 0);
	fake.busy_reads = 1;
	CHECK(vgpu_write_memory(vgpu, 5, 0, data, sizeof(data)) == 0);
	fake.busy_reads = 1;
	CHECK(vgpu_read_memory(vgpu, 5, 0, data, sizeof(data)) == 0);
	CHECK(fake.constant_reads == reads);
	close_fake(vgpu);
}

static void test_driver(void)
{
	struct vgpu *vgpu;

	vgpu_system = &fake_system;
	memset(&fake, 0, sizeof(fake));
	strcpy(fake.node, "/nowhere/vgpu3");
	/* Less than any device takes: something else has this ioctl. */
	fake.max_bytes = VGPU_BUFFER_SIZE - 1;
	CHECK(vgpu_init("vgpu3", &vgpu) == -ENXIO);
	CHECK(fake.open_count == 0);
	fake.max_bytes = VGPU_MAX_MESSAGE;
	fake.info_calls = 0;
	CHECK(vgpu_init("vgpu3", &vgpu) == 0 && vgpu_fd(vgpu) == 1000);
	CHECK(vgpu_nop(vgpu) == 0);
	CHECK(vgpu_nop(vgpu) == 0);
	CHECK(fake.info_calls == 1);
	fake.error_code = VGPU_ERROR_QUARANTINED;
	CHECK(vgpu_nop(vgpu) == VGPU_ERROR_QUARANTINED);
	/* It would look like an errno of ours. */
	fake.error_code = (uint32_t)-EAGAIN;
	CHECK(vgpu_nop(vgpu) == -EIO);
	close_fake(vgpu);
}

/* A file in the folder of nodes. */
static void make_node(const char *folder, const char *name)
{
	char path[100];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "we");
	CHECK(file && !fclose(file));
}

static void remove_node(const char *folder, const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	CHECK(!remove(path));
}

static void test_first(void)
{
	/* In the order in which they go; none of the last is a node. */
	static const char *const names[] = { "vgpu1", "vgpu9", "vgpu10" };
	static const char *const others[] = { "vgpu", "vgpu0_vf0", "vgpu0x",
					      "gpu0", "vgpu-1",
					      "vgpu99999999999999999999" };
	char folder[] = "/tmp/libvgpu_test.XXXXXX";
	struct vgpu_system system = fake_system;
	struct vgpu *vgpu;
	size_t i;

	CHECK(mkdtemp(folder));
	system.dev = folder;
	vgpu_system = &system;
	memset(&fake, 0, sizeof(fake));
	fake.max_bytes = VGPU_MAX_MESSAGE;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		make_node(folder, others[i]);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		make_node(folder, names[i]);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(fake.node, sizeof(fake.node), "%s/%s", folder,
			 names[i]);
		CHECK(vgpu_init(NULL, &vgpu) == 0);
		CHECK(!strcmp(fake.opened, fake.node));
		close_fake(vgpu);
		/* Registers are not used beside a driver. */
		fake.node[0] = 0;
		CHECK(vgpu_init(NULL, &vgpu) == -ENOENT);
		CHECK(!strstr(fake.opened, "resource0"));
		remove_node(folder, names[i]);
	}
	/* No node, and no function on the machine of the test. */
	CHECK(vgpu_init(NULL, &vgpu) == -ENODEV);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		remove_node(folder, others[i]);
	CHECK(!rmdir(folder));
	vgpu_system = &fake_system;
}

static void test_timeout(void)
{
	struct vgpu *vgpu = open_fake(mediator);
	uint8_t response[64];
	struct vgpu_request nop = { .version = VGPU_PROTOCOL_VERSION };
	size_t bytes;

	fake.busy_reads = 1000000;
	CHECK(vgpu_execute(vgpu, &nop, sizeof(nop), response, sizeof(response),
			   &bytes, 20) == -ETIMEDOUT);
	CHECK(fake.now_ns >= 20000000);
	/* The device is at it still. */
	CHECK(vgpu_execute(vgpu, &nop, sizeof(nop), response, sizeof(response),
			   &bytes, 20) == -EBUSY);
	fake.busy_reads = 1;
	CHECK(mmio_read(&fake, 0x004) == 2);
	fake.busy_reads = 2;
	CHECK(vgpu_execute(vgpu, &nop, sizeof(nop), response, sizeof(response),
			   &bytes, 20) == 0);
	CHECK(bytes == sizeof(struct vgpu_response));
	close_fake(vgpu);
}

static void test_bad_devices(void)
{
	struct vgpu *vgpu = open_fake(rejects);
	uint8_t response[64];
	struct vgpu_request nop = { .version = VGPU_PROTOCOL_VERSION };
	size_t bytes;

	CHECK(vgpu_nop(vgpu) == VGPU_ERROR_QUARANTINED);
	close_fake(vgpu);
	vgpu = open_fake(rejects_with_errno);
	CHECK(vgpu_nop(vgpu) == -EIO);
	close_fake(vgpu);
	vgpu = open_fake(says_too_much);
	CHECK(vgpu_nop(vgpu) == -EIO);
	close_fake(vgpu);
	vgpu = open_fake(says_nonsense);
	CHECK(vgpu_nop(vgpu) == -EIO);
	close_fake(vgpu);
	/* Too little room is the caller's mistake, and can be mended. */
	vgpu = open_fake(mediator);
	CHECK(vgpu_send(vgpu, &nop, sizeof(nop), 64) == 0);
	CHECK(vgpu_send(vgpu, &nop, sizeof(nop), 64) == -EBUSY);
	CHECK(vgpu_poll(vgpu, -1) == 1);
	CHECK(vgpu_read(vgpu, response, 8, &bytes) == -EMSGSIZE);
	CHECK(vgpu_read(vgpu, response, 64, &bytes) == 0 && bytes == 32);
	/* Reset while it is at it, and pulled out. */
	CHECK(vgpu_send(vgpu, &nop, sizeof(nop), 64) == 0);
	fake.status_reg = 0;
	CHECK(vgpu_poll(vgpu, 1000) == -ECANCELED);
	fake.gone = true;
	CHECK(vgpu_nop(vgpu) == -ENODEV);
	fake.gone = false;
	close_fake(vgpu);
}

static void test_open(void)
{
	struct vgpu *vgpu;

	vgpu_system = &fake_system;
	memset(&fake, 0, sizeof(fake));
	fake.version = 0x00020000;
	CHECK(vgpu_init("0000:00:05.0", &vgpu) == -ENXIO);
	fake.gone = true;
	CHECK(vgpu_init("0000:00:05.0", &vgpu) == -ENODEV);
	CHECK(vgpu_init("vgpu7", &vgpu) == -ENOENT);
	CHECK(fake.open_count == 0);
}

/* Every way in which a response can lie about itself. */
static void test_parse(void)
{
	struct {
		struct vgpu_response head;
		uint32_t words[4];
	} response = { .head = { .version = VGPU_PROTOCOL_VERSION,
				 .result_count = 2,
				 .data_offset = 40,
				 .data_length = 8 },
		       .words = { 1, 2, 3, 4 } };
	struct vgpu_answer answer;

	CHECK(vgpu_parse(&response, sizeof(response), &answer) == 0);
	CHECK(answer.result_count == 2 && answer.results[1] == 2);
	CHECK(answer.data_bytes == 8 && answer.data[0] == 3);
	CHECK(vgpu_parse(&response, 31, &answer) == -EIO);
	CHECK(vgpu_parse(&response, 39, &answer) == -EIO);
	CHECK(vgpu_parse(&response, 47, &answer) == -EIO);
	response.head.data_offset = 0xfffffff0u;
	CHECK(vgpu_parse(&response, sizeof(response), &answer) == -EIO);
	response.head.data_offset = 40;
	response.head.data_length = 0xfffffff0u;
	CHECK(vgpu_parse(&response, sizeof(response), &answer) == -EIO);
	response.head.data_length = 0;
	response.head.result_count = VGPU_MAX_PARAMS + 1;
	CHECK(vgpu_parse(&response, sizeof(response), &answer) == -EIO);
	response.head.result_count = 5;
	CHECK(vgpu_parse(&response, sizeof(response), &answer) == -EIO);
	response.head.result_count = 4;
	response.head.version = 7;
	CHECK(vgpu_parse(&response, sizeof(response), &answer) == -EIO);
}

static void test_messages(void)
{
	uint8_t bytes[256], part[64];
	struct vgpu_message message, other;
	struct vgpu_answer answer = { 0 }, each;
	size_t place = 0;
	int i;

	/* A batch of two responses reads back as it was written. */
	vgpu_message_begin(&message, bytes, sizeof(bytes), VGPU_OP_BATCH);
	for (i = 0; i < 2; i++) {
		/* A request and a response begin alike: version, a number. */
		vgpu_message_begin(&other, part, sizeof(part), 3 + (uint32_t)i);
		vgpu_message_add(&message, &other);
	}
	answer.data = bytes + ((struct vgpu_request *)(void *)bytes)->data_offset;
	answer.data_bytes = (size_t)vgpu_message_end(&message) -
			    (size_t)(answer.data - bytes);
	CHECK(answer.data_bytes == 2 * 40);
	CHECK(vgpu_parse_next(&answer, &place, &each) == 0 && each.status == 3);
	CHECK(vgpu_parse_next(&answer, &place, &each) == 0 && each.status == 4);
	CHECK(vgpu_parse_next(&answer, &place, &each) == -ENOENT);
	answer.data_bytes = 43;
	place = 40;
	CHECK(vgpu_parse_next(&answer, &place, &each) == -EIO);
	answer.data_bytes = 60;
	place = 40;
	CHECK(vgpu_parse_next(&answer, &place, &each) == -EIO);
	/* What does not fit is told at the end. */
	vgpu_message_begin(&message, bytes, 40, VGPU_OP_MEM_WRITE);
	vgpu_message_u64(&message, 1);
	CHECK(vgpu_message_end(&message) == 40);
	vgpu_message_u32(&message, 1);
	CHECK(vgpu_message_end(&message) == -EMSGSIZE);
	vgpu_message_begin(&message, bytes, 8, VGPU_OP_NOP);
	vgpu_message_u32(&message, 1);
	vgpu_message_data(&message, "x", 1);
	CHECK(vgpu_message_end(&message) == -EMSGSIZE);
	/* Parameters after data would be elsewhere than the header says. */
	vgpu_message_begin(&message, bytes, sizeof(bytes), VGPU_OP_NOP);
	vgpu_message_data(&message, "x", 1);
	vgpu_message_u32(&message, 1);
	CHECK(vgpu_message_end(&message) == -EMSGSIZE);
}

static void test_texts(void)
{
	int error;

	for (error = 1; error <= VGPU_ERROR_CANCELLED; error++) {
		char number[16];

		snprintf(number, sizeof(number), "(%d)", error);
		CHECK(strstr(vgpu_error_text(error), number));
	}
	CHECK(!strcmp(vgpu_error_text(0), "success"));
	CHECK(!strcmp(vgpu_error_text(-ETIMEDOUT), strerror(ETIMEDOUT)));
	CHECK(strstr(vgpu_error_text(17), "unknown"));
}

int main(void)
{
	test_open();
	test_without_mediator();
	test_operations();
	test_constants();
	test_driver();
	test_first();
	test_timeout();
	test_bad_devices();
	test_parse();
	test_messages();
	test_texts();
	printf("libvgpu_test: %s\n", failures ? "FAILED" : "passed");
	return failures ? 1 : 0;
}
