// SPDX-License-Identifier: Apache-2.0
/*
 * vgpu_load spin DEVICE DEPTH COUNT NS: COUNT jobs that each keep a backend busy
 * for NS, DEPTH of them in flight. Prints how they ended; exit status 1 if one
 * failed.
 *
 * vgpu_load keep DEVICE BYTES FILE: memory of a backend with a pattern, held
 * until FILE is there, then read back. Exit status 1 if a byte is wrong.
 *
 * vgpu_load peek DEVICE HANDLE BYTES: prints how reading that memory ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvgpu.h"

#define MOST 256
#define ROOM 64

static struct vgpu* vgpu;
static uint8_t request[512];
static uint8_t answers[MOST][ROOM];

static int fail(const char* what, int error) {
    fprintf(stderr, "vgpu_load: %s: %s\n", what, vgpu_error_text(error));
    return 1;
}

/* LAUNCH of the kernel that does nothing for so long. */
static ssize_t make_request(uint64_t ns) {
    struct vgpu_launch launch = {.grid = {1, 1, 1}, .block = {1, 1, 1}, .arg_count = 1};
    struct vgpu_arg arg = vgpu_arg_u64(ns);
    struct vgpu_message message;

    strcpy(launch.name, "spin");
    vgpu_message_begin(&message, request, sizeof(request), VGPU_OP_LAUNCH);
    vgpu_message_data(&message, &launch, sizeof(launch));
    vgpu_message_data(&message, &arg, sizeof(arg));
    return vgpu_message_end(&message);
}

/* How one ended: 0, an enum vgpu_error, or a negative errno. */
static int result_of(const struct vgpu_completion* done) {
    struct vgpu_answer answer;

    if (done->error) return done->error;
    if (done->status) return (int)done->status;
    if (vgpu_parse(answers[done->user_data], done->response_bytes, &answer)) return -EIO;
    return (int)answer.status;
}

static int submit(uint32_t slot, size_t bytes) {
    struct vgpu_submit one = {.size = sizeof(one),
                              .request = (uintptr_t)request,
                              .response = (uintptr_t)answers[slot],
                              .request_bytes = (uint32_t)bytes,
                              .response_bytes = ROOM,
                              .timeout_ms = VGPU_NO_TIMEOUT,
                              .user_data = slot};
    int ret = vgpu_submit_many(vgpu, &one, 1);

    return ret == 1 ? 0 : ret < 0 ? ret : -EAGAIN;
}

static int spin(uint32_t depth, uint64_t count, uint64_t ns) {
    struct vgpu_completion done[MOST];
    uint64_t asked = 0, good = 0, bad = 0;
    ssize_t bytes = make_request(ns);
    int ret, last = 0;

    if (bytes < 0 || depth < 1 || depth > MOST) return fail("arguments", -EINVAL);
    for (; asked < depth && asked < count; asked++) {
        ret = submit((uint32_t)asked, (size_t)bytes);
        if (ret) return fail("submit", ret);
    }
    while (good + bad < asked) {
        ret = vgpu_wait_many(vgpu, done, MOST, 1, -1);
        if (ret < 0) return fail("wait", ret);
        for (int i = 0; i < ret; i++) {
            int result = result_of(&done[i]);

            if (result) {
                bad++;
                last = result;
            } else {
                good++;
            }
            if (asked < count && !submit((uint32_t)done[i].user_data, (size_t)bytes)) asked++;
        }
    }
    printf("asked=%llu good=%llu bad=%llu last=%d (%s)\n", (unsigned long long)asked,
           (unsigned long long)good, (unsigned long long)bad, last, vgpu_error_text(last));
    return bad != 0 || asked != count;
}

static int keep(size_t bytes, const char* file) {
    uint8_t *pattern = malloc(bytes), *back = malloc(bytes);
    uint64_t handle;
    int ret;

    if (!pattern || !back) return fail("malloc", -ENOMEM);
    for (size_t i = 0; i < bytes; i++) pattern[i] = (uint8_t)(i * 31 + i / 251);
    ret = vgpu_alloc(vgpu, bytes, &handle);
    if (!ret) ret = vgpu_write_memory(vgpu, handle, 0, pattern, bytes);
    if (ret) return fail("write", ret);
    printf("kept %#llx\n", (unsigned long long)handle);
    fflush(stdout);
    while (access(file, F_OK)) usleep(50000);
    memset(back, 0, bytes);
    ret = vgpu_read_memory(vgpu, handle, 0, back, bytes);
    if (ret) return fail("read", ret);
    if (memcmp(pattern, back, bytes)) return fail("compare", -EIO);
    printf("same\n");
    return 0;
}

static int peek(uint64_t handle, size_t bytes) {
    uint8_t* data = malloc(bytes);

    if (!data) return fail("malloc", -ENOMEM);
    printf("%d\n", vgpu_read_memory(vgpu, handle, 0, data, bytes));
    return 0;
}

int main(int argc, char** argv) {
    int ret;

    if (argc < 5) return fail("arguments", -EINVAL);
    ret = vgpu_init(argv[2], &vgpu);
    if (ret) return fail(argv[2], ret);
    if (!strcmp(argv[1], "spin") && argc == 6)
        return spin((uint32_t)strtoul(argv[3], NULL, 0), strtoull(argv[4], NULL, 0),
                    strtoull(argv[5], NULL, 0));
    if (!strcmp(argv[1], "keep")) return keep(strtoul(argv[3], NULL, 0), argv[4]);
    if (!strcmp(argv[1], "peek"))
        return peek(strtoull(argv[3], NULL, 0), strtoul(argv[4], NULL, 0));
    return fail("arguments", -EINVAL);
}
