/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of libvgpu share with each other and with its test. */
#ifndef LIBVGPU_INTERNAL_H
#define LIBVGPU_INTERNAL_H

#include "libvgpu.h"

/*
 * What a test puts in place of the kernel and of a device. The first five as the
 * functions of libc: -1 or MAP_FAILED, and errno.
 */
struct vgpu_system {
	int (*open)(const char *path, int flags);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, void *argument);
	void *(*mmap)(size_t size, int fd, off_t offset);
	int (*munmap)(void *data, size_t size);
	/* A register of a mapped BAR. */
	uint32_t (*read32)(const volatile void *address);
	void (*write32)(volatile void *address, uint32_t value);
	uint64_t (*now_ns)(void);
	void (*sleep_us)(uint32_t us);
	const char *dev; /* the folder of nodes */
};

/* What is used from the next vgpu_init() on. */
extern const struct vgpu_system *vgpu_system;

/* How a request gets to the device. Each as the public function of that name. */
struct vgpu_way {
	void (*cleanup)(struct vgpu *vgpu);
	int (*get_info)(struct vgpu *vgpu, struct vgpu_info *info);
	int (*send)(struct vgpu *vgpu, const void *request, size_t bytes,
		    size_t room);
	int (*poll)(struct vgpu *vgpu, int timeout_ms);
	int (*read)(struct vgpu *vgpu, void *response, size_t room,
		    size_t *bytes);
	/* The answer to what was sent is not wanted any more. */
	void (*give_up)(struct vgpu *vgpu);
	int (*set_timeout)(struct vgpu *vgpu, uint32_t timeout_ms);
};

extern const struct vgpu_way vgpu_driver_way;
extern const struct vgpu_way vgpu_register_way;

struct vgpu {
	const struct vgpu_system *system;
	const struct vgpu_way *way;
	int fd;
	uint32_t max_bytes; /* of a request, and of a response */
	uint32_t timeout_ms; /* of operations */
	bool sent; /* a request is on its way */
	/* The driver. */
	uint64_t cookie;
	uint8_t *response; /* of vgpu_send() */
	size_t response_room;
	bool answered; /* @completion and @response */
	struct vgpu_completion completion;
	/* Registers. */
	volatile uint8_t *regs;
	/* Of operations: a request and its response. */
	uint8_t *scratch;
	size_t scratch_bytes; /* of each half */
};

/* What a function returns of an error by the device; it may say anything. */
int vgpu_device_error(uint32_t error);

/* Opens what @path names; 0 or a negative errno. */
int vgpu_open_driver(struct vgpu *vgpu, const char *path);
int vgpu_open_registers(struct vgpu *vgpu, const char *path);

#endif /* LIBVGPU_INTERNAL_H */
