/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvgpu: the way of the original vGPU, through the registers alone: REQUEST_LEN, the
 * request, DOORBELL, and looks at STATUS.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "vgpu_stub_regs.h"

#define BAR_BYTES 4096
#define ALL_ONES 0xffffffffu /* of a device that is gone */

/* Values of STATUS. */
#define STATUS_BUSY 1
#define STATUS_DONE 2
#define STATUS_ERROR 3

/* Between two looks at STATUS; longer and longer. Arbitrary. */
#define FIRST_SLEEP_US 10
#define LONGEST_SLEEP_US 1000

static uint32_t get(const struct vgpu *vgpu, uint32_t offset)
{
	return vgpu->system->read32(vgpu->regs + offset);
}

static void put(struct vgpu *vgpu, uint32_t offset, uint32_t value)
{
	vgpu->system->write32(vgpu->regs + offset, value);
}

static int check_version(const struct vgpu *vgpu)
{
	const uint32_t version = get(vgpu, VGPU_STUB_PROTO_VERSION);

	if (version == ALL_ONES)
		return -ENODEV;
	return version >> 16 == VGPU_PROTOCOL_VERSION >> 16 ? 0 : -ENXIO;
}

int vgpu_open_registers(struct vgpu *vgpu, const char *path)
{
	void *mapped;
	int ret;

	vgpu->way = &vgpu_register_way;
	vgpu->fd = vgpu->system->open(path, O_RDWR | O_CLOEXEC | O_SYNC);
	if (vgpu->fd < 0)
		return -errno;
	mapped = vgpu->system->mmap(BAR_BYTES, vgpu->fd, 0);
	if (mapped == MAP_FAILED) {
		ret = -errno;
		vgpu->system->close(vgpu->fd);
		return ret;
	}
	vgpu->regs = mapped;
	vgpu->max_bytes = VGPU_BUFFER_SIZE;
	ret = check_version(vgpu);
	if (ret)
		vgpu->way->cleanup(vgpu);
	return ret;
}

static void register_cleanup(struct vgpu *vgpu)
{
	vgpu->system->munmap((void *)(uintptr_t)vgpu->regs, BAR_BYTES);
	vgpu->system->close(vgpu->fd);
}

static int register_get_info(struct vgpu *vgpu, struct vgpu_info *info)
{
	info->protocol_version = get(vgpu, VGPU_STUB_PROTO_VERSION);
	if (info->protocol_version == ALL_ONES)
		return -ENODEV;
	info->capabilities = get(vgpu, VGPU_STUB_CAPABILITIES);
	info->vm_id = get(vgpu, VGPU_STUB_VM_ID);
	info->pool_id = get(vgpu, VGPU_STUB_POOL_ID);
	info->priority = get(vgpu, VGPU_STUB_PRIORITY);
	info->mode = VGPU_MODE_REGISTERS;
	info->max_in_flight = 1;
	info->max_bytes = vgpu->max_bytes;
	info->response_bytes = VGPU_BUFFER_SIZE;
	return 0;
}

static int register_send(struct vgpu *vgpu, const void *request, size_t bytes,
			 size_t room)
{
	const uint8_t *from = request;
	const uint32_t status = get(vgpu, VGPU_STUB_STATUS);
	uint32_t word;
	size_t done;

	(void)room;
	if (status == ALL_ONES)
		return -ENODEV;
	/* Of a request that was given up, or of somebody else. */
	if (status == STATUS_BUSY)
		return -EBUSY;
	if (bytes > VGPU_BUFFER_SIZE)
		return -EMSGSIZE;
	for (done = 0; done < bytes; done += sizeof(word)) {
		const size_t left = bytes - done;

		word = 0;
		memcpy(&word, from + done,
		       left < sizeof(word) ? left : sizeof(word));
		put(vgpu, VGPU_STUB_REQUEST + (uint32_t)done, word);
	}
	put(vgpu, VGPU_STUB_REQUEST_LEN, (uint32_t)bytes);
	put(vgpu, VGPU_STUB_REQUEST_ID, (uint32_t)++vgpu->cookie);
	put(vgpu, VGPU_STUB_DOORBELL, 1);
	vgpu->sent = true;
	return 0;
}

static int register_poll(struct vgpu *vgpu, int timeout_ms)
{
	const uint64_t limit_ns = (uint64_t)timeout_ms * 1000000u;
	const uint64_t begun = vgpu->system->now_ns();
	uint32_t sleep_us = FIRST_SLEEP_US;

	for (;;) {
		const uint32_t status = get(vgpu, VGPU_STUB_STATUS);

		if (status == ALL_ONES)
			return -ENODEV;
		if (status == STATUS_DONE || status == STATUS_ERROR)
			return 1;
		/* IDLE: somebody has reset the device. */
		if (status != STATUS_BUSY) {
			vgpu->sent = false;
			return -ECANCELED;
		}
		if (timeout_ms >= 0 &&
		    vgpu->system->now_ns() - begun >= limit_ns)
			return 0;
		vgpu->system->sleep_us(sleep_us);
		if (sleep_us < LONGEST_SLEEP_US)
			sleep_us *= 2;
	}
}

static int register_read(struct vgpu *vgpu, void *response, size_t room,
			 size_t *bytes)
{
	const uint32_t status = get(vgpu, VGPU_STUB_STATUS);
	uint8_t *to = response;
	uint32_t length, word;
	size_t done;

	if (status == ALL_ONES)
		return -ENODEV;
	if (status == STATUS_ERROR) {
		const uint32_t error = get(vgpu, VGPU_STUB_ERROR_CODE);

		vgpu->sent = false;
		return error ? vgpu_device_error(error) : -EIO;
	}
	if (status != STATUS_DONE)
		return -EAGAIN;
	length = get(vgpu, VGPU_STUB_RESPONSE_LEN);
	if (length > VGPU_BUFFER_SIZE) {
		vgpu->sent = false;
		return -EIO;
	}
	if (length > room)
		return -EMSGSIZE;
	for (done = 0; done < length; done += sizeof(word)) {
		const size_t left = length - done;

		word = get(vgpu, VGPU_STUB_RESPONSE + (uint32_t)done);
		memcpy(to + done, &word,
		       left < sizeof(word) ? left : sizeof(word));
	}
	*bytes = length;
	vgpu->sent = false;
	return 0;
}

/* The device goes on; STATUS is BUSY until it is done. */
static void register_give_up(struct vgpu *vgpu)
{
	vgpu->sent = false;
}

/* Only vgpu_poll() knows of time. */
static int register_set_timeout(struct vgpu *vgpu, uint32_t timeout_ms)
{
	(void)vgpu;
	(void)timeout_ms;
	return 0;
}

const struct vgpu_way vgpu_register_way = {
	.cleanup = register_cleanup,
	.get_info = register_get_info,
	.send = register_send,
	.poll = register_poll,
	.read = register_read,
	.give_up = register_give_up,
	.set_timeout = register_set_timeout,
};
