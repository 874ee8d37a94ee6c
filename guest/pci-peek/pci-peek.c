// SPDX-License-Identifier: Apache-2.0
/*
 * pci-peek BDF BAR NAME:OFFSET:BYTES[:COUNT:STRIDE]...
 *
 * Prints registers of a PCI function, mapped through sysfs, as NAME=0x... or
 * NAME[i]=0x... lines, with as many digits as the register has. For functions
 * whose driver has no tool of its own; `mimic verify` asks it. Reads only what
 * it is told.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct bar {
	volatile unsigned char *base;
	uint64_t size;
};

static bool map_bar(const char *bdf, const char *index, struct bar *bar)
{
	char path[256];
	struct stat file;
	void *base;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%s", bdf,
		 index);
	fd = open(path, O_RDONLY | O_SYNC | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &file) != 0) {
		fprintf(stderr, "pci-peek: %s: %s\n", path, strerror(errno));
		return false;
	}
	base = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (base == MAP_FAILED) {
		fprintf(stderr, "pci-peek: map %s: %s\n", path,
			strerror(errno));
		return false;
	}
	bar->base = base;
	bar->size = (uint64_t)file.st_size;
	return true;
}

/*
 * Memory space of a function that no driver has enabled: switched on while
 * this program reads, and put back. Returns the descriptor of its
 * configuration space with the old COMMAND, or -1 where there is nothing to do.
 */
static int enable_memory(const char *bdf, uint16_t *command)
{
	const uint16_t memory_space = 1 << 1; /* PCIe 6.0, 7.5.1.1.3 */
	const off_t offset = 4;
	char path[256];
	uint16_t enabled;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (pread(fd, command, sizeof(*command), offset) != sizeof(*command) ||
	    (*command & memory_space)) {
		close(fd);
		return -1;
	}
	enabled = *command | memory_space;
	if (pwrite(fd, &enabled, sizeof(enabled), offset) == sizeof(enabled))
		return fd;
	close(fd);
	return -1;
}

static void restore_memory(int fd, uint16_t command)
{
	if (fd < 0)
		return;
	if (pwrite(fd, &command, sizeof(command), 4) != sizeof(command))
		fprintf(stderr, "pci-peek: COMMAND: %s\n", strerror(errno));
	close(fd);
}

static uint64_t read_register(const struct bar *bar, uint64_t offset,
			      unsigned bytes)
{
	volatile unsigned char *at = bar->base + offset;

	switch (bytes) {
	case 1:
		return *at;
	case 2:
		return *(volatile uint16_t *)at;
	case 4:
		return *(volatile uint32_t *)at;
	default:
		return *(volatile uint64_t *)at;
	}
}

/* Prints the register that `text` describes. */
static bool print_register(const struct bar *bar, const char *text)
{
	unsigned bytes = 0;
	unsigned count = 1;
	uint64_t offset = 0;
	uint64_t stride = 0;
	char name[64];
	int fields;

	fields = sscanf(text, "%63[^:]:%" SCNi64 ":%u:%u:%" SCNi64, name,
			(int64_t *)&offset, &bytes, &count, (int64_t *)&stride);
	if ((fields != 3 && fields != 5) ||
	    (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)) {
		fprintf(stderr,
			"pci-peek: '%s'; expected NAME:OFFSET:BYTES or "
			"NAME:OFFSET:BYTES:COUNT:STRIDE\n",
			text);
		return false;
	}
	for (unsigned i = 0; i < count; i++, offset += stride) {
		if (offset % bytes || offset > bar->size ||
		    bytes > bar->size - offset) {
			fprintf(stderr,
				"pci-peek: %s at 0x%" PRIx64
				", the BAR has 0x%" PRIx64 " bytes\n",
				name, offset, bar->size);
			return false;
		}
		if (count > 1)
			printf("%s[%u]=", name, i);
		else
			printf("%s=", name);
		printf("0x%0*" PRIx64 "\n", (int)bytes * 2,
		       read_register(bar, offset, bytes));
	}
	return true;
}

int main(int argc, char **argv)
{
	struct bar bar;
	uint16_t command = 0;
	bool ok = true;
	int config;

	if (argc < 4) {
		fprintf(stderr, "usage: pci-peek BDF BAR "
				"NAME:OFFSET:BYTES[:COUNT:STRIDE]...\n");
		return 2;
	}
	if (!map_bar(argv[1], argv[2], &bar))
		return 1;
	config = enable_memory(argv[1], &command);
	for (int i = 3; i < argc && ok; i++)
		ok = print_register(&bar, argv[i]);
	restore_memory(config, command);
	return ok && fflush(stdout) == 0 ? 0 : 1;
}
