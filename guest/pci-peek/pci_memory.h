/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory space of a function that no driver has enabled (on riscv64 no firmware
 * does it either): switched on while a program reads registers through sysfs,
 * and put back.
 */
#ifndef MIMIC_PCI_MEMORY_H
#define MIMIC_PCI_MEMORY_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PCI_MEMORY_COMMAND 4	    /* offset; PCIe 6.0, 7.5.1.1.3 */
#define PCI_MEMORY_SPACE (1u << 1)

/* What is to be put back. */
struct pci_memory {
	int config; /* configuration space; -1: there is nothing to do */
	uint16_t command;
};

/* Switches on memory space of function `bdf`, such as 0000:01:00.0, if it is off. */
static inline struct pci_memory pci_memory_enable(const char *bdf)
{
	struct pci_memory was = { -1, 0 };
	char path[256];
	uint16_t enabled;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return was;
	if (pread(fd, &was.command, sizeof(was.command), PCI_MEMORY_COMMAND) ==
		    sizeof(was.command) &&
	    !(was.command & PCI_MEMORY_SPACE)) {
		enabled = was.command | PCI_MEMORY_SPACE;
		if (pwrite(fd, &enabled, sizeof(enabled), PCI_MEMORY_COMMAND) ==
		    sizeof(enabled)) {
			was.config = fd;
			return was;
		}
	}
	close(fd);
	return was;
}

static inline void pci_memory_restore(const struct pci_memory *was)
{
	if (was->config < 0)
		return;
	if (pwrite(was->config, &was->command, sizeof(was->command),
		   PCI_MEMORY_COMMAND) != sizeof(was->command))
		fprintf(stderr, "COMMAND of a PCI function: %s\n",
			strerror(errno));
	close(was->config);
}

#endif
