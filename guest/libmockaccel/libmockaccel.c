// SPDX-License-Identifier: Apache-2.0
/* libmockaccel: devices, buffers and counters. libmockaccel.h says what each function does. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "libmockaccel.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define CLASS_FOLDER "/sys/class/mock-accel"
#define DEVICE_PREFIX "/dev/mock-accel"
#define CLASS_PREFIX "mock"

static int system_open(const char *path, int flags)
{
	return open(path, flags);
}

static int system_ioctl(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument);
}

static void *system_mmap(size_t size, int protection, int fd, off_t offset)
{
	return mmap(NULL, size, protection, MAP_SHARED, fd, offset);
}

static const struct mockaccel_system real_system = {
	.open = system_open,
	.close = close,
	.ioctl = system_ioctl,
	.mmap = system_mmap,
	.munmap = munmap,
};

const struct mockaccel_system *mockaccel_system = &real_system;

int mockaccel_call(struct mockaccel *device, unsigned long request,
		   void *argument)
{
	return device->system->ioctl(device->fd, request, argument) ? -errno :
								      0;
}

void *mockaccel_map(struct mockaccel *device, size_t size, int protection,
		    uint64_t offset)
{
	return device->system->mmap(size, protection, device->fd,
				    (off_t)offset);
}

/* The class device whose PCI function is @address, in @name. */
static int find_by_address(const char *address, char *name, size_t size)
{
	DIR *folder = opendir(CLASS_FOLDER);
	char path[PATH_MAX], target[PATH_MAX];
	struct dirent *entry;
	int ret = -ENOENT;

	if (!folder)
		return -ENOENT;
	while (ret && (entry = readdir(folder))) {
		ssize_t length;
		const char *last;

		snprintf(path, sizeof(path), CLASS_FOLDER "/%s/device",
			 entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = '\0';
		last = strrchr(target, '/');
		if (strcmp(last ? last + 1 : target, address) ||
		    strncmp(entry->d_name, CLASS_PREFIX, strlen(CLASS_PREFIX)))
			continue;
		snprintf(name, size, "%s", entry->d_name);
		ret = 0;
	}
	closedir(folder);
	return ret;
}

/* The device file that @name stands for. */
static int device_path(const char *name, char *path, size_t size)
{
	char found[NAME_MAX + 1];
	int written;

	if (!name)
		name = "0";
	if (strchr(name, ':')) {
		int ret = find_by_address(name, found, sizeof(found));

		if (ret)
			return ret;
		name = found;
	}
	if (strchr(name, '/'))
		written = snprintf(path, size, "%s", name);
	else if (isdigit((unsigned char)name[0]))
		written = snprintf(path, size, DEVICE_PREFIX "%s", name);
	else if (!strncmp(name, "mock-accel", strlen("mock-accel")))
		written = snprintf(path, size, "/dev/%s", name);
	else if (!strncmp(name, CLASS_PREFIX, strlen(CLASS_PREFIX)))
		written = snprintf(path, size, DEVICE_PREFIX "%s",
				   name + strlen(CLASS_PREFIX));
	else
		return -ENOENT;
	return written < 0 || (size_t)written >= size ? -ENAMETOOLONG : 0;
}

int mockaccel_open(const char *name, struct mockaccel **device)
{
	struct mockaccel *opened;
	char path[PATH_MAX];
	int ret;

	ret = device_path(name, path, sizeof(path));
	if (ret)
		return ret;
	opened = calloc(1, sizeof(*opened));
	if (!opened)
		return -ENOMEM;
	opened->system = mockaccel_system;
	opened->fd = opened->system->open(path, O_RDWR | O_CLOEXEC);
	if (opened->fd < 0) {
		ret = -errno;
		free(opened);
		return ret;
	}
	*device = opened;
	return 0;
}

static void free_buffer(struct mockaccel *device,
			struct mockaccel_buffer_node *node)
{
	device->system->munmap(node->buffer.data, node->buffer.size);
	free(node);
}

void mockaccel_close(struct mockaccel *device)
{
	if (!device)
		return;
	while (device->queues) {
		struct mockaccel_queue *queue = device->queues;

		device->queues = queue->next;
		mockaccel_queue_free(queue);
	}
	/* The kernel stops the rings before it takes the memory. */
	device->system->close(device->fd);
	while (device->buffers) {
		struct mockaccel_buffer_node *node = device->buffers;

		device->buffers = node->next;
		free_buffer(device, node);
	}
	if (device->memory)
		device->system->munmap(device->memory, device->memory_size);
	free(device);
}

int mockaccel_fd(const struct mockaccel *device)
{
	return device->fd;
}

int mockaccel_info(struct mockaccel *device, struct mock_accel_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return mockaccel_call(device, MOCK_ACCEL_IOC_GET_INFO, info);
}

int mockaccel_engine(struct mockaccel *device, struct mock_accel_engine *engine)
{
	memset(engine, 0, sizeof(*engine));
	engine->size = sizeof(*engine);
	return mockaccel_call(device, MOCK_ACCEL_IOC_GET_ENGINE, engine);
}

int mockaccel_counters(struct mockaccel *device, int clear,
		       struct mock_accel_counters *counters)
{
	memset(counters, 0, sizeof(*counters));
	counters->size = sizeof(*counters);
	counters->flags = clear ? MOCK_ACCEL_COUNTERS_CLEAR : 0;
	return mockaccel_call(device, MOCK_ACCEL_IOC_GET_COUNTERS, counters);
}

int mockaccel_memory(struct mockaccel *device, volatile void **data,
		     size_t *size)
{
	struct mock_accel_engine engine;
	void *mapped;
	int ret;

	if (!device->memory) {
		ret = mockaccel_engine(device, &engine);
		if (ret)
			return ret;
		if (!engine.memory_bytes || engine.memory_bytes > SIZE_MAX)
			return -ENXIO;
		mapped = mockaccel_map(device, (size_t)engine.memory_bytes,
				       PROT_READ | PROT_WRITE,
				       engine.memory_mmap_offset);
		if (mapped == MAP_FAILED)
			return -errno;
		device->memory = mapped;
		device->memory_size = (size_t)engine.memory_bytes;
	}
	*data = device->memory;
	*size = device->memory_size;
	return 0;
}

int mockaccel_buffer_create(struct mockaccel *device, size_t size,
			    struct mockaccel_buffer **buffer)
{
	struct mock_accel_buffer_create create = { .size = sizeof(create) };
	struct mockaccel_buffer_node *node;
	void *data;
	int ret;

	if (!size || size > MOCK_ACCEL_MAX_BUFFER_BYTES)
		return -EINVAL;
	node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	create.bytes = (uint32_t)size;
	ret = mockaccel_call(device, MOCK_ACCEL_IOC_BUFFER_CREATE, &create);
	if (ret)
		goto err_free;
	data = mockaccel_map(device, create.bytes, PROT_READ | PROT_WRITE,
			     create.mmap_offset);
	if (data == MAP_FAILED) {
		struct mock_accel_destroy destroy = {
			.size = sizeof(destroy),
			.handle = create.buffer,
		};

		ret = -errno;
		mockaccel_call(device, MOCK_ACCEL_IOC_BUFFER_DESTROY, &destroy);
		goto err_free;
	}
	node->buffer = (struct mockaccel_buffer){
		.data = data,
		.size = create.bytes,
		.handle = create.buffer,
	};
	node->next = device->buffers;
	device->buffers = node;
	*buffer = &node->buffer;
	return 0;

err_free:
	free(node);
	return ret;
}

int mockaccel_buffer_destroy(struct mockaccel *device,
			     struct mockaccel_buffer *buffer)
{
	struct mock_accel_destroy destroy = { .size = sizeof(destroy) };
	struct mockaccel_buffer_node **link = &device->buffers;
	struct mockaccel_buffer_node *node;
	int ret;

	while (*link && &(*link)->buffer != buffer)
		link = &(*link)->next;
	node = *link;
	if (!node)
		return -EINVAL;
	destroy.handle = buffer->handle;
	ret = mockaccel_call(device, MOCK_ACCEL_IOC_BUFFER_DESTROY, &destroy);
	if (ret)
		return ret;
	*link = node->next;
	free_buffer(device, node);
	return 0;
}
