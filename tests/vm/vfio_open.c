/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfio_open GROUP ADDRESS [hold|stay]: opens a PCI function as QEMU does before its guest starts:
 * group, container, TYPE1v2, guest memory mapped, device, regions, config space, interrupts, reset.
 * The order is that of hw/vfio of QEMU 11.1 (container-legacy.c, device.c, pci.c).
 *
 * Prints name=value lines; ends with 1 and "failed: STEP: reason" at the first step that fails.
 * With "hold" it then keeps all open until the kernel asks for the device, as QEMU does; with
 * "stay", until it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_BYTES (8ul << 20)
#define PAGE_BYTES 4096ul
/* Below 4 GiB and above, as QEMU maps the RAM of a PC. */
#define HIGH_RAM 0x100000000ull

static void fail(const char* step) {
    printf("failed: %s: %s\n", step, strerror(errno));
    exit(1);
}

static long call(const char* step, int fd, unsigned long request, void* argument) {
    const int got = ioctl(fd, request, argument);
    if (got < 0) fail(step);
    return got;
}

/* How many pages the software IOMMU has mapped. */
static long mapped_pages(void) {
    FILE* file = fopen("/sys/class/iommu/fake-sriov-vgpu/mapped_pages", "r");
    long pages = -1;
    if (!file || fscanf(file, "%ld", &pages) != 1) fail("mapped_pages");
    fclose(file);
    return pages;
}

static void map(int container, void* memory, unsigned long long iova) {
    struct vfio_iommu_type1_dma_map request = {
        .argsz = sizeof request,
        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .vaddr = (unsigned long)memory,
        .iova = iova,
        .size = RAM_BYTES};
    const long before = mapped_pages();
    call("VFIO_IOMMU_MAP_DMA", container, VFIO_IOMMU_MAP_DMA, &request);
    printf("mapped=%ld\n", (mapped_pages() - before) * (long)PAGE_BYTES);
    if (ioctl(container, VFIO_IOMMU_MAP_DMA, &request) == 0 || errno != EEXIST)
        fail("a second map of the same");
}

static void unmap(int container, unsigned long long iova) {
    struct vfio_iommu_type1_dma_unmap request = {
        .argsz = sizeof request, .iova = iova, .size = RAM_BYTES};
    const long before = mapped_pages();
    call("VFIO_IOMMU_UNMAP_DMA", container, VFIO_IOMMU_UNMAP_DMA, &request);
    printf("unmapped=%llu of %ld\n", (unsigned long long)request.size,
           (before - mapped_pages()) * (long)PAGE_BYTES);
}

static void show_regions(int device, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        struct vfio_region_info info = {.argsz = sizeof info, .index = i};
        if (i == VFIO_PCI_VGA_REGION_INDEX) continue; /* only of a VGA device */
        call("VFIO_DEVICE_GET_REGION_INFO", device, VFIO_DEVICE_GET_REGION_INFO, &info);
        if (info.size) printf("region%u=%llu\n", i, (unsigned long long)info.size);
        if (i == VFIO_PCI_CONFIG_REGION_INDEX) {
            unsigned short ids[2];
            if (pread(device, ids, sizeof ids, (off_t)info.offset) != sizeof ids)
                fail("config space");
            printf("ids=%04x:%04x\n", ids[0], ids[1]);
        }
        if (i == VFIO_PCI_BAR0_REGION_INDEX) {
            unsigned word;
            const ssize_t got = pread(device, &word, sizeof word, (off_t)info.offset);
            printf("bar0_read=%s\n", got == sizeof word ? "ok" : strerror(errno));
        }
    }
}

/* One vector by eventfd, as when a guest's driver enables MSI-X, and off again. */
static void use_msix(int device) {
    struct vfio_irq_info info = {.argsz = sizeof info, .index = VFIO_PCI_MSIX_IRQ_INDEX};
    char buffer[sizeof(struct vfio_irq_set) + sizeof(int)] = {0};
    struct vfio_irq_set* set = (struct vfio_irq_set*)buffer;
    const int event = eventfd(0, EFD_CLOEXEC);

    call("VFIO_DEVICE_GET_IRQ_INFO", device, VFIO_DEVICE_GET_IRQ_INFO, &info);
    printf("msix=%u\n", info.count);
    set->argsz = sizeof buffer;
    set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    set->index = VFIO_PCI_MSIX_IRQ_INDEX;
    set->count = 1;
    memcpy(set->data, &event, sizeof event);
    printf("msix_enable=%s\n", ioctl(device, VFIO_DEVICE_SET_IRQS, set) ? strerror(errno) : "ok");
    set->argsz = sizeof *set;
    set->flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    set->count = 0;
    ioctl(device, VFIO_DEVICE_SET_IRQS, set);
    close(event);
}

/* The eventfd by which the kernel asks for the device. */
static int release_request(int device) {
    char buffer[sizeof(struct vfio_irq_set) + sizeof(int)] = {0};
    struct vfio_irq_set* set = (struct vfio_irq_set*)buffer;
    const int event = eventfd(0, EFD_CLOEXEC);

    set->argsz = sizeof buffer;
    set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    set->index = VFIO_PCI_REQ_IRQ_INDEX;
    set->count = 1;
    memcpy(set->data, &event, sizeof event);
    call("VFIO_DEVICE_SET_IRQS of the request", device, VFIO_DEVICE_SET_IRQS, set);
    return event;
}

int main(int argc, char** argv) {
    char path[64];
    struct vfio_group_status status = {.argsz = sizeof status};
    struct vfio_iommu_type1_info iommu = {.argsz = sizeof iommu};
    struct vfio_device_info info = {.argsz = sizeof info};

    if (argc < 3 || argc > 4) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(path, sizeof path, "/dev/vfio/%s", argv[1]);
    const int group = open(path, O_RDWR | O_CLOEXEC);
    if (group < 0) fail(path);
    call("VFIO_GROUP_GET_STATUS", group, VFIO_GROUP_GET_STATUS, &status);
    printf("viable=%d\n", !!(status.flags & VFIO_GROUP_FLAGS_VIABLE));
    int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    if (container < 0) fail("/dev/vfio/vfio");
    printf("api=%ld\n", call("VFIO_GET_API_VERSION", container, VFIO_GET_API_VERSION, NULL));
    printf("type1v2=%ld\n", call("VFIO_CHECK_EXTENSION", container, VFIO_CHECK_EXTENSION,
                                 (void*)VFIO_TYPE1v2_IOMMU));
    call("VFIO_GROUP_SET_CONTAINER", group, VFIO_GROUP_SET_CONTAINER, &container);
    call("VFIO_SET_IOMMU", container, VFIO_SET_IOMMU, (void*)VFIO_TYPE1v2_IOMMU);
    call("VFIO_IOMMU_GET_INFO", container, VFIO_IOMMU_GET_INFO, &iommu);
    printf("smallest_page=%llu\n", (unsigned long long)(iommu.iova_pgsizes & -iommu.iova_pgsizes));

    char* memory = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);
    if (memory == MAP_FAILED) fail("mmap");
    map(container, memory, 0);
    map(container, memory, HIGH_RAM);

    const int device = (int)call("VFIO_GROUP_GET_DEVICE_FD", group, VFIO_GROUP_GET_DEVICE_FD,
                                 argv[2]);
    call("VFIO_DEVICE_GET_INFO", device, VFIO_DEVICE_GET_INFO, &info);
    printf("pci=%d\nreset=%d\n", !!(info.flags & VFIO_DEVICE_FLAGS_PCI),
           !!(info.flags & VFIO_DEVICE_FLAGS_RESET));
    show_regions(device, info.num_regions);
    use_msix(device);
    if (info.flags & VFIO_DEVICE_FLAGS_RESET)
        call("VFIO_DEVICE_RESET", device, VFIO_DEVICE_RESET, NULL);
    if (argc == 4 && !strcmp(argv[3], "stay")) {
        printf("holding\n");
        for (;;) pause();
    }
    if (argc == 4) {
        unsigned long long count;
        const int event = release_request(device);
        printf("holding\n");
        if (read(event, &count, sizeof count) != sizeof count) fail("read of the request");
        printf("asked to leave\n");
        return 0; /* what is mapped goes with the container */
    }
    unmap(container, HIGH_RAM);
    unmap(container, 0);
    printf("done\n");
    return 0;
}
