/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test of libvgpu: against the registers of seed 004's device, whose functions
 * are here as the seed has them, and with a mediator that the test plays.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

static int failures;

#define CHECK(condition)                                                  \
	do {                                                              \
		if (!(condition)) {                                       \
			printf("%s:%d: %s\n", __FILE__, __LINE__,         \
			       #condition);                               \
			failures++;                                       \
		}                                                         \
	} while (0)

/* --- The seed's device ------------------------------------------------------ */

struct fake {
	uint32_t status_reg;
	uint32_t error_code;
	uint32_t request_len;
	uint32_t response_len;
	uint32_t request_id;
	uint32_t scratch;
	uint8_t request_buffer[1024];
	uint8_t response_buffer[1024];
	/* Not the seed's. */
	uint8_t bar[4096]; /* whose addresses are the registers */
	void (*mediator)(struct fake *fake); /* NULL: there is none */
	uint32_t version;
	int busy_reads; /* until a request that the mediator has is done */
	bool gone;
	uint64_t now_ns;
	int open_count;
	int constant_reads; /* of registers that say what is constant */
	/* The driver in front of it. */
	char node[64]; /* that there is; "": none */
	char opened[64]; /* that was asked for last */
	uint32_t max_bytes;
	int info_calls;
	struct vgpu_submit submit;
};

static struct fake fake;

/* "vgpu_process_doorbell" of the seed. */
static void process_doorbell(struct fake *s)
{
	if (s->request_len == 0 || s->request_len > 1024) {
		s->status_reg = 0x03;
		s->error_code = 0x02;
		return;
	}
	s->status_reg = 0x01;
	s->error_code = 0x00;
	if (!s->mediator) {
		s->status_reg = 0x03;
		s->error_code = 0x03;
	}
}

/* "vgpu_mmio_read", without what nobody here reads. */
static uint32_t mmio_read(struct fake *s, uint32_t addr)
{
	if (addr >= 0x440 && addr < 0x840) {
		uint32_t word;

		memcpy(&word, s->response_buffer + addr - 0x440, 4);
		return word;
	}
	s->constant_reads += (addr >= 0x008 && addr <= 0x010) ||
			     addr == 0x020 || addr == 0x024;
	switch (addr) {
	case 0x004:
		if (s->status_reg == 1 && s->busy_reads > 0 &&
		    !--s->busy_reads)
			s->mediator(s);
		return s->status_reg;
	case 0x008:
		return 'B';
	case 0x00c:
		return 2;
	case 0x010:
		return 77;
	case 0x014:
		return s->error_code;
	case 0x018:
		return s->request_len;
	case 0x01c:
		return s->response_len;
	case 0x020:
		return s->version;
	case 0x024:
		return 0x00000001;
	case 0x030:
		return s->request_id;
	default:
		return 0;
	}
}

/* "vgpu_mmio_write". */
static void mmio_write(struct fake *s, uint32_t addr, uint32_t val)
{
	if (addr >= 0x040 && addr < 0x440) {
		memcpy(s->request_buffer + addr - 0x040, &val, 4);
		return;
	}
	switch (addr) {
	case 0x000:
		if (val == 1)
			process_doorbell(s);
		break;
	case 0x018:
		if (val <= 1024)
			s->request_len = val;
		break;
	case 0x030:
		s->request_id = val;
		break;
	default:
		break;
	}
}

static uint32_t fake_read32(const volatile void *address)
{
	const uint8_t *place = (const uint8_t *)(uintptr_t)address;

	return fake.gone ? 0xffffffffu :
			   mmio_read(&fake, (uint32_t)(place - fake.bar));
}

static void fake_write32(volatile void *address, uint32_t value)
{
	uint8_t *place = (uint8_t *)(uintptr_t)address;

	if (!fake.gone)
		mmio_write(&fake, (uint32_t)(place - fake.bar), value);
}

static int fake_open(const char *path, int flags)
{
	(void)flags;
	snprintf(fake.opened, sizeof(fake.opened), "%s", path);
	if (!strstr(path, "resource0") && strcmp(path, fake.node) != 0) {
		errno = ENOENT;
		return -1;
	}
	fake.open_count++;
	return 1000;
}

static int fake_close(int fd)
{
	CHECK(fd == 1000);
	fake.open_count--;
	return 0;
}

/* The driver: every request is a NOP, and its answer is there at once. */
static int fake_ioctl(int fd, unsigned long request, void *argument)
{
	const struct vgpu_response response = { .version = VGPU_PROTOCOL_VERSION };
	struct vgpu_info *info = argument;
	struct vgpu_wait *wait = argument;
	struct vgpu_completion *completion;

	CHECK(fd == 1000);
	switch (request) {
	case VGPU_IOC_INFO:
		fake.info_calls++;
		info->max_bytes = fake.max_bytes;
		return 0;
	case VGPU_IOC_SUBMIT:
		fake.submit = *(struct vgpu_submit *)argument;
		return 0;
	case VGPU_IOC_WAIT:
		memcpy((void *)(uintptr_t)fake.submit.response, &response,
		       sizeof(response));
		completion = (void *)(uintptr_t)wait->completions;
		*completion = (struct vgpu_completion){
			.status = fake.error_code,
			.response_bytes = sizeof(response),
		};
		wait->reaped = 1;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static void *fake_mmap(size_t size, int fd, off_t offset)
{
	CHECK(size == 4096 && fd == 1000 && offset == 0);
	return fake.bar;
}

static int fake_munmap(void *data, size_t size)
{
	CHECK(data == fake.bar && size == 4096);
	return 0;
}

static uint64_t fake_now_ns(void)
{
	return fake.now_ns;
}

static void fake_sleep_us(uint32_t us)
{
	fake.now_ns += us * 1000ull;
}

static const struct vgpu_system fake_system = {
	.open = fake_open,
	.close = fake_close,
	.ioctl = fake_ioctl,
	.mmap = fake_mmap,
	.munmap = fake_munmap,
	.read32 = fake_read32,
	.write32 = fake_write32,
	.now_ns = fake_now_ns,
	.sleep_us = fake_sleep_us,
	.dev = "/nowhere",
};

/* --- Mediators --------------------------------------------------------------- */

static uint8_t device_memory[4096];

static void answer(struct fake *s, const void *response, size_t bytes)
{
	memcpy(s->response_buffer, response, bytes);
	s->response_len = (uint32_t)bytes;
	s->status_reg = 0x02;
}

/* Knows sums, one piece of memory with handle 5, reads and writes of it. */
static void mediator(struct fake *s)
{
	struct {
		struct vgpu_response head;
		uint32_t words[248];
	} out = { .head.version = VGPU_PROTOCOL_VERSION };
	struct vgpu_request head;
	uint32_t params[8];
	uint64_t offset, length;
	size_t bytes = sizeof(out.head);

	memcpy(&head, s->request_buffer, sizeof(head));
	memcpy(params, s->request_buffer + sizeof(head), sizeof(params));
	offset = params[2] | (uint64_t)params[3] << 32;
	length = params[4] | (uint64_t)params[5] << 32;
	switch (head.opcode) {
	case VGPU_OP_SUM:
		CHECK(head.param_count == 2);
		out.head.result_count = 1;
		out.words[0] = params[0] + params[1];
		bytes += 4;
		break;
	case VGPU_OP_MEM_ALLOC:
		CHECK(head.param_count == 2);
		out.head.result_count = 2;
		out.words[0] = 5;
		bytes += 8;
		break;
	case VGPU_OP_MEM_WRITE:
		CHECK(head.param_count == 4 && params[0] == 5);
		CHECK(head.data_offset % 8 == 0);
		CHECK(head.data_offset + head.data_length <= s->request_len);
		memcpy(device_memory + offset,
		       s->request_buffer + head.data_offset, head.data_length);
		break;
	case VGPU_OP_MEM_READ:
		CHECK(head.param_count == 6 && params[0] == 5);
		out.head.data_offset = (uint32_t)bytes;
		out.head.data_length = (uint32_t)length;
		memcpy(out.words, device_memory + offset, length);
		bytes += length;
		break;
	case VGPU_OP_NOP:
		break;
	default:
		out.head.status = VGPU_ERROR_UNSUPPORTED;
	}
	answer(s, &out, bytes);
}

static void rejects(struct fake *s)
{
	s->error_code = VGPU_ERROR_QUARANTINED;
	s->status_reg = 0x03;
}

/* A device that says that there is more than it has room for. */
static void says_too_much(struct fake *s)
{
	s->response_len = 5000;
	s->status_reg = 0x02;
}

/* An error that would look like an errno of ours. */
static void rejects_with_errno(struct fake *s)
{
	s->error_code = (uint32_t)-EAGAIN;
	s->status_reg = 0x03;
}

static void says_nonsense(struct fake *s)
{
	answer(s, "\1\2\3", 3);
}

static struct vgpu *open_fake(void (*which)(struct fake *))
{
	struct vgpu *vgpu = NULL;

	memset(&fake, 0, sizeof(fake));
	fake.version = 0x00010000;
	fake.mediator = which;
	fake.busy_reads = 3;
	vgpu_system = &fake_system;
	CHECK(vgpu_init("/sys/x/resource0", &vgpu) == 0);
	return vgpu;
}

static void close_fake(struct vgpu *vgpu)
{
	vgpu_cleanup(vgpu);
	CHECK(fake.open_count == 0);
}

/* --- Tests -------------------------------------------------------------------- */

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
	/* The seed's Test 3. */
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
