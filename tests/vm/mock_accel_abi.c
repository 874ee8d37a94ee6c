/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mock_accel_abi DEVICE sizes|poll|poll-no-irq|stuck: what kernel/mock-accel/mock_accel_ioctl.h
 * promises about structures that are shorter or longer than the driver's, about poll(), and about
 * queues that are closed with operations that will never be done. Prints a line for each promise
 * that does not hold, then "checks=N"; ends with 1 if one did not hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "mock_accel_ioctl.h"

#define PAGE_BYTES 4096u
/* Only a poll() that nobody wakes takes so long. */
#define FOR_EVER_MS 60000

static const char* device;
static int checks, failures;

static void check(int holds, const char* format, ...) {
    va_list arguments;

    checks++;
    if (holds) return;
    failures++;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static int open_device(void) {
    const int fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        printf("cannot open %s: %s\n", device, strerror(errno));
        exit(1);
    }
    return fd;
}

/* 0 or the errno. */
static int call(int fd, unsigned long command, void* argument) {
    return ioctl(fd, command, argument) ? errno : 0;
}

static unsigned create_queue(int fd, unsigned flags) {
    struct mock_accel_queue_create create = {.size = sizeof create, .flags = flags, .entries = 4};
    const int error = call(fd, MOCK_ACCEL_IOC_QUEUE_CREATE, &create);
    check(!error, "QUEUE_CREATE: %s", strerror(error));
    return create.queue;
}

static unsigned create_buffer(int fd) {
    struct mock_accel_buffer_create create = {.size = sizeof create, .bytes = PAGE_BYTES};
    const int error = call(fd, MOCK_ACCEL_IOC_BUFFER_CREATE, &create);
    check(!error, "BUFFER_CREATE: %s", strerror(error));
    return create.buffer;
}

static unsigned status_seq(int fd) {
    struct mock_accel_info info = {.size = sizeof info};
    const int error = call(fd, MOCK_ACCEL_IOC_GET_INFO, &info);
    check(!error, "GET_INFO: %s", strerror(error));
    return info.status_seq;
}

/* --- structures of each size ------------------------------------------------------------------ */

/* Arguments with which each ioctl succeeds on a file with one queue and one buffer. */
static void fill_nothing(void* argument, int fd) {
    (void)argument;
    (void)fd;
}
static void fill_wait_status(void* argument, int fd) {
    ((struct mock_accel_wait*)argument)->status_seq = status_seq(fd) - 1;
}
static void fill_queue_create(void* argument, int fd) {
    (void)fd;
    ((struct mock_accel_queue_create*)argument)->entries = 2;
}
static void fill_buffer_create(void* argument, int fd) {
    (void)fd;
    ((struct mock_accel_buffer_create*)argument)->bytes = 1;
}
static void fill_handle(void* argument, int fd) {
    (void)fd;
    ((struct mock_accel_destroy*)argument)->handle = 1;
}
static void fill_submit(void* argument, int fd) {
    (void)fd;
    ((struct mock_accel_submit*)argument)->queue = 1;
}
static void fill_wait(void* argument, int fd) {
    (void)fd;
    ((struct mock_accel_wait_queue*)argument)->queue = 1;
}

struct argument {
    const char* name;
    unsigned long command;
    unsigned bytes; /* of the structure */
    unsigned first; /* of its version 1 */
    int replies;    /* the structure is written back */
    int reserved;   /* where a reserved field or unknown flag is */
    void (*fill)(void* argument, int fd);
};

#define ARGUMENT(name, type, first, replies, reserved, fill)               \
    {                                                                      \
#name, MOCK_ACCEL_IOC_##name, sizeof(struct type), first, replies, \
            offsetof(struct type, reserved) + sizeof(__u32) - 1, fill      \
    }

static const struct argument arguments[] = {
    ARGUMENT(GET_INFO, mock_accel_info, 136, 1, reserved, fill_nothing),
    ARGUMENT(WAIT_STATUS, mock_accel_wait, 24, 1, flags, fill_wait_status),
    ARGUMENT(GET_ENGINE, mock_accel_engine, 40, 1, reserved, fill_nothing),
    ARGUMENT(QUEUE_CREATE, mock_accel_queue_create, 32, 1, flags, fill_queue_create),
    ARGUMENT(QUEUE_DESTROY, mock_accel_destroy, 8, 0, flags, fill_handle),
    ARGUMENT(BUFFER_CREATE, mock_accel_buffer_create, 24, 1, flags, fill_buffer_create),
    ARGUMENT(BUFFER_DESTROY, mock_accel_destroy, 8, 0, flags, fill_handle),
    ARGUMENT(SUBMIT, mock_accel_submit, 40, 1, flags, fill_submit),
    ARGUMENT(WAIT, mock_accel_wait_queue, 32, 1, flags, fill_wait),
    ARGUMENT(GET_COUNTERS, mock_accel_counters, 64, 1, flags, fill_nothing),
};

/* Two pages that can be read and written, and behind them one that cannot. */
static unsigned char* pages(void) {
    static unsigned char* memory;
    if (!memory) {
        memory = mmap(NULL, 3 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
        if (memory == MAP_FAILED || mprotect(memory + 2 * PAGE_BYTES, PAGE_BYTES, PROT_NONE)) {
            perror("pages");
            exit(1);
        }
    }
    return memory;
}

/*
 * Calls with a structure that says it has `bytes` and that begins `begin` bytes into pages(), and
 * the byte `dirty` of it set (-1: none), on a new file. It must end with `expected`.
 */
static void expect(const struct argument* of, unsigned bytes, unsigned begin, int dirty,
                   int expected) {
    unsigned char* at = pages() + begin;
    static unsigned char before[2 * PAGE_BYTES];
    const int fd = open_device();
    int error;

    create_queue(fd, 0);
    create_buffer(fd);
    memset(pages(), 0, 2 * PAGE_BYTES);
    of->fill(at, fd);
    memcpy(at, &bytes, sizeof bytes);
    if (dirty >= 0) at[dirty] |= 0x80;
    memcpy(before, pages(), 2 * PAGE_BYTES);
    error = call(fd, of->command, at);
    check(error == expected, "%s of %u bytes, byte %d set: %s, expected %s", of->name, bytes, dirty,
          strerror(error), strerror(expected));
    if (error || !of->replies) {
        check(!memcmp(before, pages(), 2 * PAGE_BYTES), "%s of %u bytes wrote something", of->name,
              bytes);
    } else {
        const unsigned known = bytes < of->bytes ? bytes : of->bytes;
        unsigned written;
        memcpy(&written, at, sizeof written);
        check(written == known, "%s of %u bytes wrote %u", of->name, bytes, written);
        check(!memcmp(before + begin + known, at + known, 2 * PAGE_BYTES - begin - known),
              "%s of %u bytes wrote behind that", of->name, bytes);
    }
    close(fd);
}

static void sizes_of(const struct argument* of) {
    expect(of, of->bytes, 0, -1, 0);
    expect(of, of->first, 0, -1, 0);
    expect(of, of->first - 1, 0, -1, EINVAL);
    expect(of, of->first - 4, 0, -1, EINVAL);
    expect(of, 0, 0, -1, EINVAL);
    expect(of, of->bytes, 0, of->reserved, EINVAL);
    expect(of, of->bytes + 8, 0, -1, 0);
    expect(of, of->bytes + 1, 0, -1, 0);
    expect(of, PAGE_BYTES, 0, -1, 0);
    expect(of, of->bytes + 1, 0, (int)of->bytes, E2BIG);
    expect(of, of->bytes + 8, 0, (int)of->bytes, E2BIG);
    expect(of, of->bytes + 8, 0, (int)of->bytes + 7, E2BIG);
    expect(of, PAGE_BYTES, 0, PAGE_BYTES - 1, E2BIG);
    expect(of, PAGE_BYTES + 1, 0, -1, E2BIG);
    expect(of, 0xffffffff, 0, -1, E2BIG);
    /* What the kernel does not look at may be anything. */
    expect(of, of->bytes, 0, (int)of->bytes, 0);
    /* A tail that cannot be read. */
    expect(of, of->bytes, 2 * PAGE_BYTES - of->bytes, -1, 0);
    expect(of, of->bytes + 8, 2 * PAGE_BYTES - of->bytes, -1, EFAULT);
}

static int submit_nops(int fd, unsigned queue, const void* operations, unsigned bytes) {
    struct mock_accel_submit submit = {.size = sizeof submit,
                                       .queue = queue,
                                       .operations = (unsigned long)operations,
                                       .count = 2,
                                       .operation_bytes = bytes};
    const int error = call(fd, MOCK_ACCEL_IOC_SUBMIT, &submit);
    check(error || submit.taken == 2, "SUBMIT of %u-byte operations took %u", bytes, submit.taken);
    return error;
}

/* Elements of an array grow by the same rules. */
static void operation_sizes(void) {
    static const struct {
        unsigned bytes;
        unsigned dirty;
        int expected;
    } cases[] = {
        {0, 0, 0},       {40, 0, 0},      {48, 0, 0},      {41, 0, 0},
        {256, 0, 0},     {48, 47, E2BIG}, {48, 95, E2BIG}, {256, 511, E2BIG},
        {39, 0, EINVAL}, {1, 0, EINVAL},  {257, 0, E2BIG}, {~0u, 0, E2BIG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char operations[512] = {0};
        const int fd = open_device();
        const unsigned queue = create_queue(fd, 0);
        int error;

        /* Two NOPs: zeros. */
        operations[cases[i].dirty] = cases[i].dirty ? 1 : 0;
        error = submit_nops(fd, queue, operations, cases[i].bytes);
        check(error == cases[i].expected, "SUBMIT of %u-byte operations, byte %u set: %s",
              cases[i].bytes, cases[i].dirty, strerror(error));
        close(fd);
    }
}

static void sizes(void) {
    struct mock_accel_info info = {.size = sizeof info};
    const int fd = open_device();

    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) sizes_of(&arguments[i]);
    operation_sizes();
    check(call(fd, _IO(MOCK_ACCEL_IOC_MAGIC, 10), &info) == ENOTTY, "a number too far");
    check(call(fd, _IO(MOCK_ACCEL_IOC_MAGIC, 255), &info) == ENOTTY, "the last number");
    check(call(fd, _IO(MOCK_ACCEL_IOC_MAGIC + 1, 0), &info) == ENOTTY, "another letter");
    check(call(fd, _IOR(MOCK_ACCEL_IOC_MAGIC, 0, int), &info) == ENOTTY, "another direction");
    check(call(fd, MOCK_ACCEL_IOC_GET_INFO, NULL) == EFAULT, "no argument");
    close(fd);
}

/* --- poll() ----------------------------------------------------------------------------------- */

static int poll_now(int fd, int timeout_ms) {
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    const int ready = poll(&pfd, 1, timeout_ms);
    return ready < 0 ? -1 : ready ? pfd.revents : 0;
}

/* A copy that the device is slow to do; no interrupt tells of it. */
static void submit_slow(int fd, unsigned queue, unsigned buffer) {
    struct mock_accel_operation operation = {.opcode = MOCK_ACCEL_OP_COPY,
                                             .length = 64,
                                             .src_buffer = buffer,
                                             .dst_buffer = buffer,
                                             .dst = 1024};
    struct mock_accel_submit submit = {.size = sizeof submit,
                                       .queue = queue,
                                       .operations = (unsigned long)&operation,
                                       .count = 1,
                                       .flags = MOCK_ACCEL_SUBMIT_NO_INTERRUPT};
    const int error = call(fd, MOCK_ACCEL_IOC_SUBMIT, &submit);
    check(!error && submit.taken == 1, "SUBMIT: %s", strerror(error));
}

/* Completions wake poll() and epoll without an interrupt. */
static void poll_completions(void) {
    struct epoll_event event = {.events = EPOLLIN};
    const int fd = open_device(), epoll = epoll_create1(EPOLL_CLOEXEC);
    const unsigned queue = create_queue(fd, MOCK_ACCEL_QUEUE_NO_INTERRUPT);
    const unsigned buffer = create_buffer(fd);

    status_seq(fd); /* also tells it that there is no interrupt */
    check(poll_now(fd, 0) == 0, "poll() before the operation");
    submit_slow(fd, queue, buffer);
    check(poll_now(fd, FOR_EVER_MS) == POLLIN, "poll() was not woken by a completion");
    check(poll_now(fd, 0) == POLLIN, "a completion that was not consumed");
    close(fd);
    {
        const int other = open_device();
        const unsigned other_queue = create_queue(other, MOCK_ACCEL_QUEUE_NO_INTERRUPT);
        const unsigned other_buffer = create_buffer(other);

        status_seq(other);
        check(!epoll_ctl(epoll, EPOLL_CTL_ADD, other, &event), "EPOLL_CTL_ADD");
        submit_slow(other, other_queue, other_buffer);
        check(epoll_wait(epoll, &event, 1, FOR_EVER_MS) == 1 && event.events == EPOLLIN,
              "epoll_wait() was not woken by a completion");
        close(other);
    }
    close(epoll);
}

/* A device without an interrupt says so until it has been told, and then no more. */
static void poll_without_interrupt(void) {
    struct mock_accel_wait wait = {.size = sizeof wait, .timeout_ms = 0};
    struct epoll_event event = {.events = EPOLLIN};
    const int fd = open_device(), other = open_device(), epoll = epoll_create1(EPOLL_CLOEXEC);

    check(!epoll_ctl(epoll, EPOLL_CTL_ADD, other, &event), "EPOLL_CTL_ADD");
    for (int i = 0; i < 3; i++) {
        check(poll_now(fd, 0) == POLLERR, "poll() does not say that nothing will wake it");
        check(epoll_wait(epoll, &event, 1, 0) == 1 && event.events == EPOLLERR, "nor epoll_wait()");
    }
    check(call(fd, MOCK_ACCEL_IOC_WAIT_STATUS, &wait) == EOPNOTSUPP, "WAIT_STATUS");
    status_seq(other);
    check(poll_now(fd, 0) == 0, "poll() goes on after WAIT_STATUS has told");
    check(epoll_wait(epoll, &event, 1, 0) == 0, "epoll_wait() goes on after GET_INFO has told");
    close(fd);
    close(other);
    close(epoll);
}

/* With an interrupt there is no error, and a status change is seen. */
static void poll_with_interrupt(void) {
    const int fd = open_device();
    check(poll_now(fd, 0) == 0, "poll() of an idle device");
    close(fd);
}

/* --- queues whose operations are never done --------------------------------------------------- */

/* As many queues as there are, each with an operation that is not done. */
static unsigned take_all(int fd, unsigned ring_count, unsigned buffer) {
    unsigned count = 0;
    for (; count < ring_count && count < MOCK_ACCEL_MAX_QUEUES; count++) {
        submit_slow(fd, create_queue(fd, 0), buffer);
    }
    return count;
}

static void stuck(void) {
    struct mock_accel_engine engine = {.size = sizeof engine};
    struct mock_accel_destroy destroy = {.size = sizeof destroy};
    struct mock_accel_queue_create create = {.size = sizeof create, .entries = 4};
    const struct mock_accel_completion* ring;
    struct timespec begin, end;
    int fd = open_device();
    unsigned count;

    check(!call(fd, MOCK_ACCEL_IOC_GET_ENGINE, &engine), "GET_ENGINE");
    check(engine.ring_count > 1, "the device has %u rings", engine.ring_count);
    check(!call(fd, MOCK_ACCEL_IOC_QUEUE_CREATE, &create), "QUEUE_CREATE");
    ring = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, fd, (off_t)create.completions_mmap_offset);
    if (ring == MAP_FAILED) {
        check(0, "mmap of a completion ring: %s", strerror(errno));
        return;
    }
    submit_slow(fd, create.queue, create_buffer(fd));
    check(ring->phase == 0, "the queue is not stuck");
    destroy.handle = create.queue;
    check(!call(fd, MOCK_ACCEL_IOC_QUEUE_DESTROY, &destroy), "QUEUE_DESTROY");
    check(ring->phase == 1 && ring->status == MOCK_ACCEL_COMPLETION_ABORTED,
          "phase %u, status %u of a queue that was destroyed", ring->phase, ring->status);
    /* A mapping keeps the file open. */
    munmap((void*)ring, PAGE_BYTES);

    count = take_all(fd, engine.ring_count, create_buffer(fd));
    clock_gettime(CLOCK_MONOTONIC, &begin);
    close(fd);
    clock_gettime(CLOCK_MONOTONIC, &end);
    fd = open_device();
    check(take_all(fd, engine.ring_count, create_buffer(fd)) == count, "rings are not free again");
    close(fd);
    /* To be read, not judged: the machine may be busy. */
    printf("closed_ms=%ld queues=%u\n",
           (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000, count);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    device = argv[1];
    if (!strcmp(argv[2], "sizes")) {
        sizes();
    } else if (!strcmp(argv[2], "poll")) {
        poll_with_interrupt();
        poll_completions();
    } else if (!strcmp(argv[2], "poll-no-irq")) {
        poll_without_interrupt();
        poll_completions();
    } else if (!strcmp(argv[2], "stuck")) {
        stuck();
    } else {
        return 2;
    }
    printf("checks=%d\n", checks);
    return failures ? 1 : 0;
}
