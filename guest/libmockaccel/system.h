/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libmockaccel asks of the operating system, in one place, so that its test
 * can put a device of its own there. Not for programs.
 */
#ifndef LIBMOCKACCEL_SYSTEM_H
#define LIBMOCKACCEL_SYSTEM_H

#include <sys/types.h>

/* Each as the function of libc of that name: -1 or MAP_FAILED, and errno. */
struct mockaccel_system {
	int (*open)(const char *path, int flags);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, void *argument);
	void *(*mmap)(size_t size, int protection, int fd, off_t offset);
	int (*munmap)(void *data, size_t size);
};

/* What is used from the next mockaccel_open() on. */
extern const struct mockaccel_system *mockaccel_system;

#endif /* LIBMOCKACCEL_SYSTEM_H */
