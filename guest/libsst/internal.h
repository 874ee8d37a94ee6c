/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of libsst share with each other and with its test. */
#ifndef LIBSST_INTERNAL_H
#define LIBSST_INTERNAL_H

#include <sys/types.h>

#include "libsst.h"

/* Each as the function of libc of that name: -1 or MAP_FAILED, and errno. */
struct sst_system {
	int (*open)(const char *path, int flags);
	int (*close)(int fd);
	ssize_t (*read)(int fd, void *data, size_t bytes);
	ssize_t (*write)(int fd, const void *data, size_t bytes);
	int (*ioctl)(int fd, unsigned long request, void *argument);
	void *(*mmap)(size_t size, int fd, off_t offset);
	int (*munmap)(void *data, size_t size);
};

/* What is used from the next sst_open() on; a test has a device of its own. */
extern const struct sst_system *sst_system;

struct sst {
	const struct sst_system *system;
	int fd;
	uint64_t next_user_data; /* of sst_ask()'s own requests */
};

#endif /* LIBSST_INTERNAL_H */
