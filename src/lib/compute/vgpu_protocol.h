/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR Apache-2.0 */
/*
 * What a guest asks of a vGPU and what it is answered: the same bytes in the request and response
 * buffers of the device of the original vGPU, in its DMA buffers, and on the sockets of the
 * mediator. C, for the kernel, for guests and for C++. Little endian, without holes.
 *
 * Sizes, names and numbers of struct vgpu_request, struct vgpu_response, opcodes 0, 1 and 5, and
 * the errors are those of the public mediator for the device of the original vGPU; the rest is
 * Mimic's and marked so.
 */
#pragma once

#ifdef __KERNEL__
#include <linux/types.h>
typedef __u8 vgpu_u8;
typedef __u16 vgpu_u16;
typedef __u32 vgpu_u32;
typedef __u64 vgpu_u64;
#else
#include <stdint.h>
typedef uint8_t vgpu_u8;
typedef uint16_t vgpu_u16;
typedef uint32_t vgpu_u32;
typedef uint64_t vgpu_u64;
#endif

#define VGPU_BUFFER_SIZE 1024u       /* request and response in the registers' buffers */
#define VGPU_MAX_MESSAGE (16u << 20) /* a request or a response by DMA, whole. Mimic's */
#define VGPU_PROTOCOL_VERSION \
    0x00010000u /* vgpu_request.version, vgpu_response.version, register PROTO_VERSION */
#define VGPU_MAX_PARAMS 64u /* of a request; of the results of a response */

/* Register ERROR_CODE, and the status of a completion or a frame. 1 .. 11 as in the public
 * mediator; the rest is Mimic's. */
enum vgpu_error {
    VGPU_OK = 0,
    VGPU_ERROR_INVALID_REQUEST = 1,
    VGPU_ERROR_REQUEST_TOO_LARGE = 2, /* of the original vGPU: also length 0 */
    VGPU_ERROR_MEDIATOR_UNAVAILABLE = 3,
    VGPU_ERROR_TIMEOUT = 4,
    VGPU_ERROR_BACKEND = 5, /* "CUDA error": the backend failed, or died in this job */
    VGPU_ERROR_POOL = 6,    /* no such pool, or none of its backends is there */
    VGPU_ERROR_QUEUE_FULL = 7,
    VGPU_ERROR_UNSUPPORTED = 8,
    VGPU_ERROR_INVALID_LENGTH = 9,
    VGPU_ERROR_RATE_LIMITED = 10,
    VGPU_ERROR_QUARANTINED = 11,
    VGPU_ERROR_MEMORY = 12,   /* no memory: its limit, or the backend's */
    VGPU_ERROR_HANDLE = 13,   /* no such handle, or not within it */
    VGPU_ERROR_DMA = 14,      /* an address of the guest that is not memory */
    VGPU_ERROR_DENIED = 15,   /* the mediator does not admit this peer as this VM */
    VGPU_ERROR_CANCELLED = 16 /* reset, drain, or the VM went */
};

/* vgpu_request.opcode. 64-bit values are two parameters, low word first. */
enum vgpu_opcode {
    VGPU_OP_NOP = 0, /* no parameters, no results: passes the queue and runs on no backend */
    VGPU_OP_SUM = 1, /* the public mediator's "CUDA_KERNEL": two parameters; result: their sum
                        modulo 2^32 */
    VGPU_OP_GET_DEVICE_INFO = 5, /* data of the answer: struct vgpu_device_info */
    /* From here on Mimic's. */
    VGPU_OP_MEM_ALLOC = 0x10,     /* size(2) -> handle(2). Zeroed */
    VGPU_OP_MEM_FREE = 0x11,      /* handle(2) */
    VGPU_OP_MEM_WRITE = 0x12,     /* handle(2) offset(2); data of the request */
    VGPU_OP_MEM_READ = 0x13,      /* handle(2) offset(2) length(2) -> data of the answer */
    VGPU_OP_MEM_COPY = 0x14,      /* to handle(2) offset(2), from handle(2) offset(2), length(2) */
    VGPU_OP_MEM_FILL = 0x15,      /* handle(2) offset(2) length(2) byte */
    VGPU_OP_LAUNCH = 0x20,        /* data of the request: struct vgpu_launch, see there */
    VGPU_OP_MODULE_LOAD = 0x21,   /* data: PTX text (cuda). -> module(2). UNSUPPORTED elsewhere */
    VGPU_OP_MODULE_UNLOAD = 0x22, /* module(2) */
    VGPU_OP_SYNCHRONIZE = 0x30,   /* answered when all before it of this VM has been */
    VGPU_OP_BATCH = 0x40 /* data: vgpu_u32 length and a request, again and again, each of these two
                            padded together to 8 bytes (4 + length + 0 .. 7). Data of the answer:
                            the same form with responses. Ends after the first that fails, with
                            that one's status. No batch in a batch */
};

/* Followed by param_count words at once; data is at data_offset (from the start of the request),
 * data_length bytes. */
struct vgpu_request {
    vgpu_u32 version; /* VGPU_PROTOCOL_VERSION */
    vgpu_u32 opcode;  /* enum vgpu_opcode */
    vgpu_u32 flags;   /* 0 */
    vgpu_u32 param_count;
    vgpu_u32 data_offset; /* 0 where data_length is 0 */
    vgpu_u32 data_length;
    vgpu_u32 reserved[2];
};

/* Followed by result_count words; data as in a request. What does not fit into the room for it:
 * status INVALID_LENGTH. */
struct vgpu_response {
    vgpu_u32 version;
    vgpu_u32 status; /* enum vgpu_error */
    vgpu_u32 result_count;
    vgpu_u32 data_offset;
    vgpu_u32 data_length;
    vgpu_u32 exec_time_us; /* on the backend; saturates */
    vgpu_u32 reserved[2];
};

#define VGPU_KERNEL_NAME_SIZE 64
#define VGPU_MAX_ARGS 16

enum vgpu_arg_kind {
    VGPU_ARG_VALUE = 0, /* its low bytes are passed as they are: 4 or 8 of them, see size */
    VGPU_ARG_MEMORY = 1 /* value: a handle; offset: where in it */
};

struct vgpu_arg {
    vgpu_u32 kind; /* enum vgpu_arg_kind */
    vgpu_u32 size; /* of a VALUE: 4 or 8; of MEMORY: 8 */
    vgpu_u64 value;
    vgpu_u64 offset;
};

/* clang-format off */
/*
 * Data of LAUNCH; arg_count arguments follow. The named kernels, each on cpu and cuda (n: VALUE
 * u64; arrays of f32):
 *     vector_add  out a b n      out[i] = a[i] + b[i]
 *     saxpy       y x n a        y[i] += a * x[i]; a: VALUE f32, size 4
 *     gemm        c a b m n k    c[m][n] = a[m][k] * b[k][n], row by row; the order of the sums of
 *                                an element is always the same
 *     reduce_sum  out x n        out[0] = sum of x, pairwise
 *     checksum    out x n        out[0] (u64) = FNV-1a of n bytes
 *     spin        ns             keeps the backend busy for so long (VALUE u64), for tests and
 *                                benches
 */
/* clang-format on */
struct vgpu_launch {
    vgpu_u64 module;                  /* 0: a named kernel; else of MODULE_LOAD */
    char name[VGPU_KERNEL_NAME_SIZE]; /* NUL terminated */
    vgpu_u32 grid[3]; /* cuda: as cuLaunchKernel takes them; a named kernel chooses itself */
    vgpu_u32 block[3];
    vgpu_u32 shared_bytes;
    vgpu_u32 arg_count;
};

/* Data of the answer to GET_DEVICE_INFO. */
struct vgpu_device_info {
    char backend[16]; /* "cpu", "cuda", "sim" */
    char name[64];
    vgpu_u64 memory_bytes; /* of the backend */
    vgpu_u64 memory_limit; /* of this VM; 0: none */
    vgpu_u32 compute_units;
    vgpu_u32 weight;
    vgpu_u32 priority;    /* 0 low, 1 medium, 2 high */
    vgpu_u32 queue_depth; /* most requests of this VM that wait; 0: none */
};
