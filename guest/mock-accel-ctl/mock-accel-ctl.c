// SPDX-License-Identifier: Apache-2.0
/*
 * mock-accel-ctl: looks at and exercises a mock-accel device inside a guest.
 *
 * One static binary with nothing but libc, for initramfs images and tests.
 * Results go to stdout as key=value lines, errors to stderr.
 * Exit status: 0 ok, 1 failure, 2 usage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mock_accel_ioctl.h"
#include "mock_accel_regs.h"
#include "pci_memory.h"

#define DEFAULT_DEVICE "/dev/mock-accel0"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* An mmap'd BAR. Lives until the process ends. */
struct bar {
	volatile unsigned char *base;
	size_t size_bytes;
};

static int failed(const char *format, ...)
{
	const int error = errno;
	va_list args;

	fputs("mock-accel-ctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(error));
	return EXIT_FAILED;
}

static int usage(FILE *out)
{
	static const char text[] =
		"usage: mock-accel-ctl info [DEV]                 print what the driver knows\n"
		"       mock-accel-ctl counters [DEV [clear]]    print the DMA engine's counters\n"
		"       mock-accel-ctl wait DEV SEQ TIMEOUT_MS   wait for a status change\n"
		"       mock-accel-ctl poll DEV TIMEOUT_MS       poll() from now on\n"
		"       mock-accel-ctl hold DEV SECONDS          keep DEV open\n"
		"       mock-accel-ctl regs BDF|PATH             print the registers of BAR0\n"
		"       mock-accel-ctl peek BDF|PATH OFFSET WIDTH\n"
		"       mock-accel-ctl poke BDF|PATH OFFSET WIDTH VALUE\n"
		"DEV is " DEFAULT_DEVICE " by default. Numbers may be decimal or 0x. WIDTH is in\n"
		"bits: 8, 16, 32 or 64. A TIMEOUT_MS of -1 is for ever.\n";

	fputs(text, out);
	return out == stdout ? EXIT_OK : EXIT_USAGE;
}

/* Whole-string number in [0, max]; prints an error and returns false if not. */
static bool parse_unsigned(const char *text, const char *name, uint64_t max,
			   uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (text[0] >= '0' && text[0] <= '9' && !*end && !errno &&
	    *value <= max)
		return true;
	fprintf(stderr,
		"mock-accel-ctl: %s is '%s', want a number from 0 to %" PRIu64
		"\n",
		name, text, max);
	return false;
}

/* As above, and -1 for "for ever". */
static bool parse_timeout(const char *text, int *timeout_ms)
{
	uint64_t value;

	if (!strcmp(text, "-1")) {
		*timeout_ms = -1;
		return true;
	}
	if (!parse_unsigned(text, "TIMEOUT_MS", INT_MAX, &value))
		return false;
	*timeout_ms = (int)value;
	return true;
}

static int open_device(const char *path)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		failed("open %s", path);
	return fd;
}

static bool get_info(int fd, struct mock_accel_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	if (!ioctl(fd, MOCK_ACCEL_IOC_GET_INFO, info))
		return true;
	failed("MOCK_ACCEL_IOC_GET_INFO");
	return false;
}

static void print_uuid(const unsigned char *uuid)
{
	fputs("uuid=", stdout);
	for (int i = 0; i < MOCK_ACCEL_UUID_BYTES; i++)
		printf("%s%02x",
		       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
		       uuid[i]);
	putchar('\n');
}

static int cmd_info(int argc, char **argv)
{
	struct mock_accel_info info;
	const int fd = open_device(argc ? argv[0] : DEFAULT_DEVICE);

	if (fd < 0 || !get_info(fd, &info))
		return EXIT_FAILED;
	printf("flags=0x%08x\n", info.flags);
	printf("vf=%d\n", !!(info.flags & MOCK_ACCEL_INFO_VF));
	printf("has_label=%d\n", !!(info.flags & MOCK_ACCEL_INFO_HAS_LABEL));
	printf("has_irq=%d\n", !!(info.flags & MOCK_ACCEL_INFO_HAS_IRQ));
	printf("device_id=0x%08x\n", info.device_id);
	printf("revision=0x%08x\n", info.revision);
	print_uuid(info.uuid);
	printf("label=%.*s\n", MOCK_ACCEL_LABEL_BYTES,
	       (const char *)info.label);
	printf("memory_size=%" PRIu64 "\n", (uint64_t)info.memory_size);
	printf("capabilities=0x%08x\n", info.capabilities);
	printf("status=0x%08x\n", info.status);
	printf("numa_node=%d\n", info.numa_node);
	printf("total_vfs=%u\n", info.total_vfs);
	printf("vf_index=0x%08x\n", info.vf_index);
	printf("status_seq=%u\n", info.status_seq);
	printf("fw_version=0x%08x\n", info.fw_version);
	return EXIT_OK;
}

/* With "clear" they are 0 after that. */
static int cmd_counters(int argc, char **argv)
{
	struct mock_accel_engine engine = { .size = sizeof(engine) };
	struct mock_accel_counters counters = { .size = sizeof(counters) };
	int fd;

	if (argc == 2 && strcmp(argv[1], "clear"))
		return usage(stderr);
	counters.flags = argc == 2 ? MOCK_ACCEL_COUNTERS_CLEAR : 0;
	fd = open_device(argc ? argv[0] : DEFAULT_DEVICE);
	if (fd < 0)
		return EXIT_FAILED;
	if (ioctl(fd, MOCK_ACCEL_IOC_GET_ENGINE, &engine))
		return failed("MOCK_ACCEL_IOC_GET_ENGINE");
	if (ioctl(fd, MOCK_ACCEL_IOC_GET_COUNTERS, &counters))
		return failed("MOCK_ACCEL_IOC_GET_COUNTERS");
	printf("ring_count=%u\n", engine.ring_count);
	printf("max_entries=%u\n", engine.max_entries);
	printf("interrupt_rings=0x%02x\n", engine.interrupt_rings);
	printf("memory_bytes=%" PRIu64 "\n", (uint64_t)engine.memory_bytes);
	printf("descriptors=%" PRIu64 "\n", (uint64_t)counters.descriptors);
	printf("bytes_read=%" PRIu64 "\n", (uint64_t)counters.bytes_read);
	printf("bytes_written=%" PRIu64 "\n", (uint64_t)counters.bytes_written);
	printf("errors=%" PRIu64 "\n", (uint64_t)counters.errors);
	printf("doorbells=%" PRIu64 "\n", (uint64_t)counters.doorbells);
	printf("bad_doorbells=%" PRIu64 "\n", (uint64_t)counters.bad_doorbells);
	printf("interrupts=%" PRIu64 "\n", (uint64_t)counters.interrupts);
	return EXIT_OK;
}

static int cmd_wait(int argc, char **argv)
{
	struct mock_accel_wait wait = { .size = sizeof(wait) };
	uint64_t status_seq;
	int fd;

	(void)argc;
	if (!parse_unsigned(argv[1], "SEQ", UINT32_MAX, &status_seq) ||
	    !parse_timeout(argv[2], &wait.timeout_ms))
		return EXIT_USAGE;
	wait.status_seq = (uint32_t)status_seq;
	fd = open_device(argv[0]);
	if (fd < 0)
		return EXIT_FAILED;
	if (ioctl(fd, MOCK_ACCEL_IOC_WAIT_STATUS, &wait))
		return failed("MOCK_ACCEL_IOC_WAIT_STATUS");
	printf("status=0x%08x\nstatus_seq=%u\n", wait.status, wait.status_seq);
	return EXIT_OK;
}

static int cmd_poll(int argc, char **argv)
{
	struct pollfd pfd = { .events = POLLIN };
	int timeout_ms;
	int ready;

	(void)argc;
	if (!parse_timeout(argv[1], &timeout_ms))
		return EXIT_USAGE;
	pfd.fd = open_device(argv[0]);
	if (pfd.fd < 0)
		return EXIT_FAILED;
	/* For a script: from this line on, a change is seen. */
	puts("polling");
	fflush(stdout);
	ready = poll(&pfd, 1, timeout_ms);
	if (ready < 0)
		return failed("poll");
	printf("revents=%s%s%s%s\n", pfd.revents & POLLIN ? "IN," : "",
	       pfd.revents & POLLERR ? "ERR," : "",
	       pfd.revents & POLLHUP ? "HUP," : "", ready ? "" : "none");
	if (pfd.revents & POLLIN)
		return EXIT_OK;
	errno = !ready ? ETIMEDOUT :
		pfd.revents & POLLHUP ? ENODEV : EOPNOTSUPP;
	return failed("poll");
}

static int cmd_hold(int argc, char **argv)
{
	struct timespec left = { 0 };
	uint64_t seconds;

	(void)argc;
	if (!parse_unsigned(argv[1], "SECONDS", INT_MAX, &seconds))
		return EXIT_USAGE;
	if (open_device(argv[0]) < 0)
		return EXIT_FAILED;
	/* For a script: from this line on, the device is open. */
	puts("holding");
	fflush(stdout);
	left.tv_sec = (time_t)seconds;
	while (nanosleep(&left, &left) && errno == EINTR)
		;
	return EXIT_OK;
}

/* Maps BAR0 given as a PCI address (0000:11:00.0) or as a path. */
static bool map_bar(const char *name, bool writable, struct bar *bar)
{
	const int protection = PROT_READ | (writable ? PROT_WRITE : 0);
	char path[PATH_MAX];
	struct stat st;
	void *base;
	int fd;

	snprintf(path, sizeof(path),
		 strchr(name, '/') ? "%s" :
				     "/sys/bus/pci/devices/%s/resource0",
		 name);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_SYNC);
	if (fd < 0 || fstat(fd, &st)) {
		failed("open %s", path);
		return false;
	}
	bar->size_bytes = (size_t)st.st_size;
	base = mmap(NULL, bar->size_bytes, protection, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		failed("mmap %s", path);
		return false;
	}
	close(fd);
	bar->base = base;
	return true;
}

/* One access of exactly the given width; the caller checked the range. */
static uint64_t bar_read(const struct bar *bar, size_t offset, unsigned bits)
{
	volatile unsigned char *at = bar->base + offset;

	switch (bits) {
	case 8:
		return *at;
	case 16:
		return *(volatile uint16_t *)at;
	case 32:
		return *(volatile uint32_t *)at;
	default:
		return *(volatile uint64_t *)at;
	}
}

static void bar_write(const struct bar *bar, size_t offset, unsigned bits,
		      uint64_t value)
{
	volatile unsigned char *at = bar->base + offset;

	switch (bits) {
	case 8:
		*at = (uint8_t)value;
		break;
	case 16:
		*(volatile uint16_t *)at = (uint16_t)value;
		break;
	case 32:
		*(volatile uint32_t *)at = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)at = value;
		break;
	}
}

struct register_entry {
	const char *name;
	unsigned offset;
	unsigned bits;
	unsigned count; /* 1 for a plain register */
	unsigned stride;
};

#define REGISTER32(r) { #r, MOCK_ACCEL_##r, 32, 1, 0 }
#define REGISTER64(r) { #r, MOCK_ACCEL_##r, 64, 1, 0 }
#define REGISTER32_ARRAY(r) \
	{ #r, MOCK_ACCEL_##r, 32, MOCK_ACCEL_##r##_COUNT, \
	  MOCK_ACCEL_##r##_STRIDE }

static const struct register_entry registers[] = {
	REGISTER32(DEVICE_ID),	   REGISTER32(REVISION),
	REGISTER32_ARRAY(UUID),	   REGISTER64(MEMORY_SIZE),
	REGISTER32(CAPABILITIES),  REGISTER32(STATUS),
	REGISTER32(FW_VERSION),	   REGISTER32(TOTAL_VFS),
	REGISTER32(VF_INDEX),	   REGISTER32(NUM_VFS),
	REGISTER32_ARRAY(LABEL),   REGISTER32(RING_COUNT),
	REGISTER32(ENGINE_CAPS),   REGISTER64(LOCAL_MEMORY_SIZE),
	REGISTER64(DESCRIPTORS),   REGISTER64(BYTES_READ),
	REGISTER64(BYTES_WRITTEN), REGISTER64(ERRORS),
	REGISTER64(DOORBELLS),	   REGISTER64(BAD_DOORBELLS),
	REGISTER64(INTERRUPTS),
};

static bool print_registers(const struct bar *bar)
{
	for (size_t r = 0; r < sizeof(registers) / sizeof(registers[0]); r++) {
		const struct register_entry *reg = &registers[r];

		for (unsigned i = 0; i < reg->count; i++) {
			const size_t offset = reg->offset + i * reg->stride;

			if (offset + reg->bits / 8 > bar->size_bytes) {
				errno = ERANGE;
				failed("%s at 0x%zx, BAR has 0x%zx bytes",
				       reg->name, offset, bar->size_bytes);
				return false;
			}
			fputs(reg->name, stdout);
			if (reg->count > 1)
				printf("[%u]", i);
			printf("=0x%0*" PRIx64 "\n", (int)reg->bits / 4,
			       bar_read(bar, offset, reg->bits));
		}
	}
	return true;
}

static int cmd_regs(int argc, char **argv)
{
	struct pci_memory memory = { -1, 0 };
	struct bar bar;
	bool ok;

	(void)argc;
	if (!map_bar(argv[0], false, &bar))
		return EXIT_FAILED;
	if (!strchr(argv[0], '/'))
		memory = pci_memory_enable(argv[0]);
	ok = print_registers(&bar);
	pci_memory_restore(&memory);
	return ok ? EXIT_OK : EXIT_FAILED;
}

/* OFFSET and WIDTH of peek and poke; the access must be aligned. */
static bool parse_place(char **argv, uint64_t *offset, unsigned *bits)
{
	uint64_t width;

	if (!parse_unsigned(argv[0], "OFFSET", SIZE_MAX / 2, offset) ||
	    !parse_unsigned(argv[1], "WIDTH", 64, &width))
		return false;
	*bits = (unsigned)width;
	if (width != 8 && width != 16 && width != 32 && width != 64) {
		fprintf(stderr,
			"mock-accel-ctl: WIDTH is %s, want 8, 16, 32 or 64\n",
			argv[1]);
		return false;
	}
	if (*offset % (width / 8)) {
		fprintf(stderr,
			"mock-accel-ctl: OFFSET %s is not aligned to %s bits\n",
			argv[0], argv[1]);
		return false;
	}
	return true;
}

static bool in_range(const struct bar *bar, uint64_t offset, unsigned bits)
{
	if (offset + bits / 8 <= bar->size_bytes)
		return true;
	errno = ERANGE;
	failed("OFFSET 0x%" PRIx64 ", BAR has 0x%zx bytes", offset,
	       bar->size_bytes);
	return false;
}

static int cmd_peek(int argc, char **argv)
{
	uint64_t offset;
	struct bar bar;
	unsigned bits;

	(void)argc;
	if (!parse_place(argv + 1, &offset, &bits))
		return EXIT_USAGE;
	if (!map_bar(argv[0], false, &bar) || !in_range(&bar, offset, bits))
		return EXIT_FAILED;
	printf("0x%0*" PRIx64 "\n", (int)bits / 4,
	       bar_read(&bar, offset, bits));
	return EXIT_OK;
}

static int cmd_poke(int argc, char **argv)
{
	uint64_t offset, value;
	struct bar bar;
	unsigned bits;

	(void)argc;
	if (!parse_place(argv + 1, &offset, &bits) ||
	    !parse_unsigned(argv[3], "VALUE", UINT64_MAX >> (64 - bits),
			    &value))
		return EXIT_USAGE;
	if (!map_bar(argv[0], true, &bar) || !in_range(&bar, offset, bits))
		return EXIT_FAILED;
	bar_write(&bar, offset, bits, value);
	return EXIT_OK;
}

static const struct {
	const char *name;
	int min_args;
	int max_args;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "info", 0, 1, cmd_info }, { "counters", 0, 2, cmd_counters },
	{ "wait", 3, 3, cmd_wait }, { "poll", 2, 2, cmd_poll },
	{ "hold", 2, 2, cmd_hold }, { "regs", 1, 1, cmd_regs },
	{ "peek", 3, 3, cmd_peek }, { "poke", 4, 4, cmd_poke },
};

static int run(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return usage(stdout);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		if (argc - 2 < commands[i].min_args ||
		    argc - 2 > commands[i].max_args)
			break;
		return commands[i].run(argc - 2, argv + 2);
	}
	return usage(stderr);
}

int main(int argc, char **argv)
{
	const int status = run(argc, argv);

	/* A full disk or a closed pipe must not look like success. */
	if (fflush(stdout) || ferror(stdout))
		return failed("stdout");
	return status;
}
