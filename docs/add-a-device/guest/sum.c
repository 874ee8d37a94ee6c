// SPDX-License-Identifier: Apache-2.0
// sum WORD...: has the adder of docs/add-a-device.md add the words up. It is what a driver would
// be, in user space: it finds the device in sysfs, lets it master the bus, and hands it the
// physical address of a page. Needs root.
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"

// registers.h
enum { COUNT = 0x04, SOURCE = 0x08, CTRL = 0x10, STATUS = 0x14, SUM = 0x18, BAR_BYTES = 4096 };
enum { START = 1 << 0, DONE = 1 << 1, ERROR = 1 << 2 };

static void die(const char* what) {
    perror(what);
    exit(1);
}

static int open_in(const char* bdf, const char* file) {
    char path[300];
    snprintf(path, sizeof path, DEVICES "/%s/%s", bdf, file);
    const int fd = open(path, O_RDWR);
    if (fd < 0) die(path);
    return fd;
}

// The address of the first function with the ids 1de5:add1.
static const char* find_adder(void) {
    DIR* folder = opendir(DEVICES);
    if (folder == NULL) die(DEVICES);
    for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
        uint16_t ids[2] = {0, 0};
        if (entry->d_name[0] == '.') continue;
        const int config = open_in(entry->d_name, "config");
        if (pread(config, ids, sizeof ids, 0) != sizeof ids) die("configuration space");
        close(config);
        if (ids[0] == 0x1de5 && ids[1] == 0xadd1) return entry->d_name;
    }
    fputs("sum: there is no adder (1de5:add1)\n", stderr);
    exit(1);
}

// COMMAND: MEMORY_SPACE, so that BAR0 answers, and BUS_MASTER, so that the device may read memory.
static void enable(const char* bdf) {
    uint16_t command = 0;
    const int config = open_in(bdf, "config");
    if (pread(config, &command, sizeof command, 4) != sizeof command) die("COMMAND");
    command |= 0x0006;
    if (pwrite(config, &command, sizeof command, 4) != sizeof command) die("COMMAND");
    close(config);
}

// Where a page of this process is in memory; it is locked there.
static uint64_t physical(const void* page) {
    uint64_t entry = 0;
    const int map = open("/proc/self/pagemap", O_RDONLY);
    if (map < 0) die("/proc/self/pagemap");
    const off_t at = (off_t)((uintptr_t)page / 4096 * sizeof entry);
    if (pread(map, &entry, sizeof entry, at) != sizeof entry) die("/proc/self/pagemap");
    close(map);
    return (entry & ((UINT64_C(1) << 55) - 1)) * 4096;
}

int main(int argc, char** argv) {
    const uint32_t count = (uint32_t)(argc - 1);
    if (argc < 2 || count > 1024) return fputs("usage: sum WORD...\n", stderr), 2;
    const char* const bdf = find_adder();
    enable(bdf);
    const int resource = open_in(bdf, "resource0");
    volatile uint8_t* const bar =
        mmap(NULL, BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, resource, 0);
    if (bar == MAP_FAILED) die("resource0");

    uint32_t* const words = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    if (words == MAP_FAILED) die("a page");
    for (uint32_t i = 0; i < count; ++i) words[i] = (uint32_t)strtoul(argv[i + 1], NULL, 0);

    *(volatile uint64_t*)(bar + SOURCE) = physical(words);
    *(volatile uint32_t*)(bar + COUNT) = count;
    *(volatile uint32_t*)(bar + STATUS) = DONE | ERROR;  // of the addition before
    *(volatile uint32_t*)(bar + CTRL) = START;
    uint32_t status = 0;
    while (((status = *(volatile uint32_t*)(bar + STATUS)) & DONE) == 0) usleep(1000);
    if ((status & ERROR) != 0) return fputs("sum: the adder could not read the words\n", stderr), 1;

    printf("%s:", bdf);
    for (uint32_t i = 0; i < count; ++i) printf(" %s%" PRIu32, i == 0 ? "" : "+ ", words[i]);
    printf(" = %" PRIu64 "\n", *(volatile uint64_t*)(bar + SUM));
    return 0;
}
