// SPDX-License-Identifier: Apache-2.0
/*
 * The part of bench/virtio that runs in a guest: round trips of virtio devices, each a read of
 * /dev/hwrng or a write and a read of an accelerator, and many requests in flight.
 *
 *   virtio-bench trips ROUNDS COUNT SUBJECT...   COUNT round trips of each subject, in turns
 *   virtio-bench queued COUNT DEPTH NODE         COUNT requests with DEPTH in flight, by batches
 *   virtio-bench writes COUNT DEPTH NODE         the same by write() and read(), one a request
 *
 * A subject is rng=NAME (of /sys/class/misc/hw_random/rng_available) or noop=NODE.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libsst.h"

#define MAX_SUBJECTS 8
#define MAX_DEPTH 256
#define WARM_UP 100
/* What the kernel asks of a source at a time: SMP_CACHE_BYTES. */
#define RNG_BYTES 64
#define RNG_CURRENT "/sys/class/misc/hw_random/rng_current"

static void die(const char* what) {
    fprintf(stderr, "virtio-bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int by_value(const void* a, const void* b) {
    const uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;

    return x < y ? -1 : x > y;
}

struct subject {
    const char* text;
    const char* name;
    int is_rng;
    int fd;
};

/* The kernel has one source at a time; who opens the file later gets the new one. */
static void choose(const struct subject* subject) {
    const int fd = open(RNG_CURRENT, O_WRONLY);
    const size_t size = strlen(subject->name);

    if (fd < 0 || write(fd, subject->name, size) != (ssize_t)size) die(subject->name);
    close(fd);
}

/* As Linux SST's program: whole structures, whatever the device looks at. */
static void trip(const struct subject* subject) {
    static struct SSTRequest request = {.type = SST_REQ_NOOP};
    static struct SSTResponse response;
    char bytes[RNG_BYTES];

    if (subject->is_rng) {
        if (read(subject->fd, bytes, sizeof(bytes)) != sizeof(bytes)) die(subject->text);
        return;
    }
    if (write(subject->fd, &request, sizeof(request)) < 0 ||
        read(subject->fd, &response, sizeof(response)) != sizeof(response))
        die(subject->text);
    if (response.status != SST_STATUS_OK) {
        fprintf(stderr, "virtio-bench: status %u\n", response.status);
        exit(1);
    }
}

static void round_of(const struct subject* subject, int round, int count, uint64_t* times) {
    const uint64_t begin = now_ns();
    int i;

    for (i = 0; i < count; i++) {
        const uint64_t start = now_ns();

        trip(subject);
        times[i] = now_ns() - start;
    }
    const uint64_t all = now_ns() - begin;

    qsort(times, (size_t)count, sizeof(*times), by_value);
    printf("trips subject=%s round=%d count=%d mean_ns=%llu p50_ns=%llu p99_ns=%llu\n",
           subject->text, round, count, (unsigned long long)(all / (uint64_t)count),
           (unsigned long long)times[count / 2],
           (unsigned long long)times[count - 1 - count / 100]);
    fflush(stdout);
}

static int trips(int rounds, int count, char** texts, int subjects) {
    struct subject all[MAX_SUBJECTS];
    uint64_t* const times = calloc((size_t)count, sizeof(*times));
    int round, i, warm;

    if (!times || subjects > MAX_SUBJECTS) return 2;
    for (i = 0; i < subjects; i++) {
        struct subject* const one = &all[i];

        one->text = texts[i];
        one->name = strchr(texts[i], '=');
        if (!one->name) return 2;
        one->name++;
        one->is_rng = !strncmp(texts[i], "rng=", 4);
        one->fd = open(one->is_rng ? "/dev/hwrng" : one->name, one->is_rng ? O_RDONLY : O_RDWR);
        if (one->fd < 0) die(one->text);
    }
    for (round = 0; round < rounds; round++)
        for (i = 0; i < subjects; i++) {
            if (all[i].is_rng) choose(&all[i]);
            for (warm = 0; warm < WARM_UP; warm++) trip(&all[i]);
            round_of(&all[i], round, count, times);
        }
    return 0;
}

static void report(const char* what, int count, int depth, uint64_t ns) {
    printf("%s count=%d depth=%d per_second=%llu\n", what, count, depth,
           (unsigned long long)((uint64_t)count * 1000000000u / (ns ? ns : 1)));
}

/* As many as were answered go out again, in one call. */
static int queued(int count, int depth, const char* node) {
    struct SSTRequest* const requests = calloc((size_t)depth, sizeof(*requests));
    struct sst_completion done[MAX_DEPTH];
    int sent = 0, answered = 0, ret;
    struct sst* sst;
    uint64_t start;

    ret = requests ? sst_open(node, 0, &sst) : -ENOMEM;
    errno = -ret;
    if (ret) die(node);
    start = now_ns();
    while (answered < count) {
        int room = depth - (sent - answered);

        if (room > count - sent) room = count - sent;
        if (room > 0) {
            ret = sst_send(sst, requests, sizeof(*requests), (uint32_t)room);
            errno = -ret;
            if (ret < 0) die("send");
            sent += ret;
        }
        ret = sst_receive(sst, done, NULL, (uint32_t)depth, (uint32_t)(sent - answered));
        errno = -ret;
        if (ret < 0) die("receive");
        answered += ret;
    }
    report("queued", count, depth, now_ns() - start);
    sst_close(sst);
    return 0;
}

static int writes(int count, int depth, const char* node) {
    static struct SSTRequest request = {.type = SST_REQ_NOOP};
    static struct SSTResponse response;
    const int fd = open(node, O_RDWR | O_NONBLOCK);
    int sent = 0, answered = 0;
    uint64_t start;

    if (fd < 0) die(node);
    start = now_ns();
    while (answered < count) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};

        while (sent < count && sent - answered < depth) {
            if (write(fd, &request, sizeof(request)) < 0) {
                if (errno == EAGAIN) break;
                die("write");
            }
            sent++;
        }
        if (poll(&wait, 1, 10000) != 1) die("poll");
        while (read(fd, &response, sizeof(response)) > 0) answered++;
    }
    report("writes", count, depth, now_ns() - start);
    close(fd);
    return 0;
}

int main(int argc, char** argv) {
    if (argc >= 5 && !strcmp(argv[1], "trips") && atoi(argv[2]) > 0 && atoi(argv[3]) > 0)
        return trips(atoi(argv[2]), atoi(argv[3]), argv + 4, argc - 4);
    if (argc == 5 && atoi(argv[2]) > 0 && atoi(argv[3]) > 0 && atoi(argv[3]) <= MAX_DEPTH) {
        if (!strcmp(argv[1], "queued")) return queued(atoi(argv[2]), atoi(argv[3]), argv[4]);
        if (!strcmp(argv[1], "writes")) return writes(atoi(argv[2]), atoi(argv[3]), argv[4]);
    }
    fprintf(stderr,
            "usage: virtio-bench trips ROUNDS COUNT SUBJECT... | queued|writes COUNT DEPTH NODE\n");
    return 2;
}
