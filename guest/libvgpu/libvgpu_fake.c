/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of libvgpu have in place of hardware: the original vGPU, whose
 * functions are here as it has them, the driver, and mediators.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libvgpu_fake.h"

int failures;

/* --- The original's device ------------------------------------------------------ */

struct fake fake;

/* "vgpu_process_doorbell" of the original. */
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
uint32_t mmio_read(struct fake *s, uint32_t addr)
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

const struct vgpu_system fake_system = {
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
void mediator(struct fake *s)
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

void rejects(struct fake *s)
{
	s->error_code = VGPU_ERROR_QUARANTINED;
	s->status_reg = 0x03;
}

/* A device that says that there is more than it has room for. */
void says_too_much(struct fake *s)
{
	s->response_len = 5000;
	s->status_reg = 0x02;
}

/* An error that would look like an errno of ours. */
void rejects_with_errno(struct fake *s)
{
	s->error_code = (uint32_t)-EAGAIN;
	s->status_reg = 0x03;
}

void says_nonsense(struct fake *s)
{
	answer(s, "\1\2\3", 3);
}

struct vgpu *open_fake(void (*which)(struct fake *))
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

void close_fake(struct vgpu *vgpu)
{
	vgpu_cleanup(vgpu);
	CHECK(fake.open_count == 0);
}
