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

#include "pci_memory.h"

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
	bool ok = true;
	struct pci_memory memory;

	if (argc < 4) {
		fprintf(stderr, "usage: pci-peek BDF BAR "
				"NAME:OFFSET:BYTES[:COUNT:STRIDE]...\n");
		return 2;
	}
	if (!map_bar(argv[1], argv[2], &bar))
		return 1;
	memory = pci_memory_enable(argv[1]);
	for (int i = 3; i < argc && ok; i++)
		ok = print_register(&bar, argv[i]);
	pci_memory_restore(&memory);
	return ok && fflush(stdout) == 0 ? 0 : 1;
}
