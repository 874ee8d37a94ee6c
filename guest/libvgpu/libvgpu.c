/* SPDX-License-Identifier: Apache-2.0 */
/* libvgpu: devices, and one request at a time. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define DEFAULT_TIMEOUT_MS 60000
#define SYSFS "/sys/bus/pci/devices"

static int system_open(const char *path, int flags)
{
	return open(path, flags);
}

static int system_ioctl(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument);
}

static void *system_mmap(size_t size, int fd, off_t offset)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

static uint32_t system_read32(const volatile void *address)
{
	return *(const volatile uint32_t *)address;
}

static void system_write32(volatile void *address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static uint64_t system_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void system_sleep_us(uint32_t us)
{
	usleep(us);
}

static const struct vgpu_system real_system = {
	.open = system_open,
	.close = close,
	.ioctl = system_ioctl,
	.mmap = system_mmap,
	.munmap = munmap,
	.read32 = system_read32,
	.write32 = system_write32,
	.now_ns = system_now_ns,
	.sleep_us = system_sleep_us,
	.dev = "/dev",
};

const struct vgpu_system *vgpu_system = &real_system;

/* A number in a file of sysfs, or -1. */
static long sysfs_number(const char *function, const char *file)
{
	char path[300];
	long value = -1;
	FILE *stream;

	snprintf(path, sizeof(path), SYSFS "/%.64s/%s", function, file);
	stream = fopen(path, "re");
	if (!stream)
		return -1;
	if (fscanf(stream, "%li", &value) != 1)
		value = -1;
	fclose(stream);
	return value;
}

/* The original vGPU: vendor, device, class; its second revision has these registers. */
static bool is_vgpu(const char *function)
{
	return sysfs_number(function, "vendor") == 0x1af4 &&
	       sysfs_number(function, "device") == 0x1111 &&
	       sysfs_number(function, "class") >> 8 == 0x1200 &&
	       sysfs_number(function, "revision") >= 2;
}

/* The first function in the order of its address; false: there is none. */
static bool first_function(char *path, size_t size)
{
	struct dirent **entries;
	bool found = false;
	int count, i;

	count = scandir(SYSFS, &entries, NULL, alphasort);
	for (i = 0; i < count; i++) {
		if (!found && is_vgpu(entries[i]->d_name)) {
			snprintf(path, size, SYSFS "/%.64s/resource0",
				 entries[i]->d_name);
			found = true;
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return found;
}

static bool ends_in_resource(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, "resource0") == 0;
}

/* Opens what the caller of vgpu_init() has named. */
static int open_named(struct vgpu *vgpu, const char *name)
{
	char path[300];

	if (ends_in_resource(name))
		return vgpu_open_registers(vgpu, name);
	if (strchr(name, '/'))
		return vgpu_open_driver(vgpu, name);
	if (strchr(name, ':')) {
		snprintf(path, sizeof(path), SYSFS "/%.64s/resource0", name);
		return vgpu_open_registers(vgpu, path);
	}
	snprintf(path, sizeof(path), "%.200s/%.64s", vgpu->system->dev, name);
	return vgpu_open_driver(vgpu, path);
}

/* The number of a node vgpuN; -1: it is none. VFs of one, vgpuN_vfM, are not. */
static long node_number(const char *name)
{
	static const char prefix[] = "vgpu";
	const char *digits = name + sizeof(prefix) - 1;

	if (strncmp(name, prefix, sizeof(prefix) - 1) ||
	    !digits[0] || strlen(digits) > 9 ||
	    strspn(digits, "0123456789") != strlen(digits))
		return -1;
	return strtol(digits, NULL, 10);
}

/* The lowest number of a node; -1: there is none. */
static long first_node(const char *folder)
{
	const struct dirent *entry;
	long number, first = -1;
	DIR *dir = opendir(folder);

	if (!dir)
		return -1;
	while ((entry = readdir(dir))) {
		number = node_number(entry->d_name);
		if (number >= 0 && (first < 0 || number < first))
			first = number;
	}
	closedir(dir);
	return first;
}

static int open_first(struct vgpu *vgpu)
{
	const long number = first_node(vgpu->system->dev);
	char path[300];

	if (number >= 0) {
		snprintf(path, sizeof(path), "%.200s/vgpu%ld",
			 vgpu->system->dev, number);
		return vgpu_open_driver(vgpu, path);
	}
	return first_function(path, sizeof(path)) ?
		       vgpu_open_registers(vgpu, path) :
		       -ENODEV;
}

int vgpu_init(const char *name, struct vgpu **vgpu)
{
	struct vgpu *made = calloc(1, sizeof(*made));
	int ret;

	if (!made)
		return -ENOMEM;
	made->system = vgpu_system;
	made->fd = -1;
	made->timeout_ms = DEFAULT_TIMEOUT_MS;
	ret = name ? open_named(made, name) : open_first(made);
	if (ret) {
		free(made);
		return ret;
	}
	*vgpu = made;
	return 0;
}

void vgpu_cleanup(struct vgpu *vgpu)
{
	if (!vgpu)
		return;
	vgpu->way->cleanup(vgpu);
	free(vgpu->response);
	free(vgpu->scratch);
	free(vgpu);
}

int vgpu_get_info(struct vgpu *vgpu, struct vgpu_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return vgpu->way->get_info(vgpu, info);
}

int vgpu_send(struct vgpu *vgpu, const void *request, size_t bytes, size_t room)
{
	if (vgpu->sent)
		return -EBUSY;
	return vgpu->way->send(vgpu, request, bytes, room);
}

int vgpu_poll(struct vgpu *vgpu, int timeout_ms)
{
	return vgpu->sent ? vgpu->way->poll(vgpu, timeout_ms) : -EAGAIN;
}

int vgpu_read(struct vgpu *vgpu, void *response, size_t room, size_t *bytes)
{
	*bytes = 0;
	return vgpu->sent ? vgpu->way->read(vgpu, response, room, bytes) :
			    -EAGAIN;
}

int vgpu_execute(struct vgpu *vgpu, const void *request, size_t bytes,
		 void *response, size_t room, size_t *response_bytes,
		 int timeout_ms)
{
	int ret = vgpu_send(vgpu, request, bytes, room);

	*response_bytes = 0;
	if (ret)
		return ret;
	ret = vgpu_poll(vgpu, timeout_ms);
	if (ret == 1)
		return vgpu_read(vgpu, response, room, response_bytes);
	vgpu->way->give_up(vgpu);
	return ret ? ret : -ETIMEDOUT;
}

int vgpu_device_error(uint32_t error)
{
	return error <= INT32_MAX ? (int)error : -EIO;
}

int vgpu_fd(const struct vgpu *vgpu)
{
	return vgpu->way == &vgpu_driver_way ? vgpu->fd : -1;
}

/* By enum vgpu_error. */
static const char *const status_texts[] = {
	"success",
	"invalid request (1)",
	"request too large, or empty (2)",
	"no mediator (3)",
	"timeout at the mediator (4)",
	"the backend failed (5)",
	"no such pool, or none of its backends is there (6)",
	"queue full (7)",
	"operation not supported (8)",
	"invalid length (9)",
	"rate limited (10)",
	"this VM is in quarantine (11)",
	"no memory at the backend (12)",
	"no such handle, or not within it (13)",
	"an address that is no memory of the guest (14)",
	"the mediator does not admit this VM (15)",
	"cancelled: reset, drain, or the VM went (16)",
};

const char *vgpu_error_text(int error)
{
	if (error < 0)
		return strerror(-error);
	if ((size_t)error < sizeof(status_texts) / sizeof(status_texts[0]))
		return status_texts[error];
	return "unknown error of the device";
}
