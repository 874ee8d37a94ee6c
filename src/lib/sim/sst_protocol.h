/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR Apache-2.0 */
/*
 * What an SST accelerator is asked and what it answers: the same bytes in the guest (write(2) and
 * read(2) of /dev/sstN), in the virtqueues, and on the socket of a simulator. C, for the kernel,
 * for guests, for element libraries of SST, and for C++. Little endian, packed.
 *
 * Sizes and names are those of Linux SST and of the QEMUs that carry its device; what Mimic adds is
 * marked so and never sent to a peer that has not said that it knows it.
 */
#pragma once

#ifdef __KERNEL__
#include <linux/types.h>
typedef __u32 sst_u32;
typedef __u64 sst_u64;
typedef __u8 sst_u8;
#else
#include <stdint.h>
typedef uint32_t sst_u32;
typedef uint64_t sst_u64;
typedef uint8_t sst_u8;
#endif

#define SST_MAX_DATA_SIZE 4080
#define SST_REQUEST_HEADER_SIZE \
    24 /* least that a request can have; what is missing reads as zeros */
#define SST_RESPONSE_HEADER_SIZE 32 /* least room for a response; what does not fit is left out */

enum sst_request_type {
    SST_REQ_NOOP = 0,
    SST_REQ_ECHO = 1,
    SST_REQ_COMPUTE = 2,
    SST_REQ_READ = 3,
    SST_REQ_WRITE = 4,
    SST_REQ_RESET = 5,
    SST_REQ_GET_INFO = 6,
    SST_REQ_CONFIGURE = 7,
};

enum sst_status {
    SST_STATUS_OK = 0,
    SST_STATUS_ERROR = 1,
    SST_STATUS_BUSY = 2,
    SST_STATUS_INVALID = 3,
    SST_STATUS_TIMEOUT = 4,
    SST_STATUS_NO_DEVICE = 5,
};

/* SSTRequest.flags. Peers of Linux SST ignore them. All of Mimic's. */
enum sst_request_flag {
    SST_FLAG_EVENT = 1u << 0,     /* tell of the completion on the event queue, too */
    SST_FLAG_WORK = 1u << 1,      /* COMPUTE: a struct sst_work follows payload.compute */
    SST_FLAG_PIPELINE = 1u << 16, /* on a socket: I can have many requests in flight and match
                                     answers by request_id. A peer that can, too, says so in
                                     SSTResponse.reserved; until then one is in flight */
    SST_FLAG_TIMED = 1u << 17,    /* on a socket, the same way: a struct sst_submit follows each
                                     request,    a struct sst_timing each response, from the next
                                     message    on */
};

/* Parameters of SST_REQ_CONFIGURE. Mimic's: Linux SST defines none. Values are u64. */
enum sst_param {
    SST_PARAM_CLOCK_HZ = 1,      /* of the device's cycles; 1 .. 10^12 */
    SST_PARAM_LATENCY_MODEL = 2, /* index of the model that a COMPUTE with latency_model 0 gets */
    SST_PARAM_LAUNCH_LATENCY_NS = 3, /* of each COMPUTE, before it begins */
    SST_PARAM_NS_PER_UNIT = 4,       /* of COMPUTE, in 1/1000 ns a unit */
    SST_PARAM_MEMORY_LATENCY_NS = 5, /* of each READ and WRITE */
    SST_PARAM_MEMORY_BANDWIDTH = 6,  /* bytes a second; 0: without bound */
    SST_PARAM_UNITS = 7,             /* compute units that work at the same time; 1 .. 65,536 */
    SST_PARAM_EVENT_MASK = 8,        /* bit N: events of type N are sent; all are, after a reset */
};

enum sst_event_type {
    SST_EVENT_COMPLETION = 0,   /* data: request_id */
    SST_EVENT_ERROR = 1,        /* data: enum sst_error in bits 63:56, request_id or 0 below */
    SST_EVENT_NOTIFICATION = 2, /* data: enum sst_notice */
};

enum sst_error {
    SST_ERROR_SIMULATOR_LOST = 1, /* it went away; all that it had was answered NO_DEVICE */
    SST_ERROR_LATE = 2,           /* an answer came after its TIMEOUT */
    SST_ERROR_UNKNOWN_ID = 3,     /* an answer to nothing */
};

enum sst_notice {
    SST_NOTICE_SIMULATOR_READY = 1,
    SST_NOTICE_RESET = 2,
    SST_NOTICE_USER = 256, /* and up: who injected it knows */
};

/* Virtio: feature bits of the device (24 and up are the transport's). */
enum sst_feature {
    SST_F_ECHO = 0,
    SST_F_COMPUTE = 1,
    SST_F_MEMORY = 2,
    SST_F_EVENTS = 3,
    SST_F_MULTI_QUEUE = 4, /* more than one queue pair: queues 3, 4; 5, 6; .. are request and
                              response */
    SST_F_RESET = 5,
    SST_F_TIMING = 6,    /* Mimic's: a struct sst_timing follows each response in its buffer */
    SST_F_LOCK_STEP = 7, /* Mimic's, with TIMING: a struct sst_submit follows each request; answers
                            are there once a read of the device that follows the kick is answered,
                            without an interrupt, and the driver holds each until its latency is
                            over */
};

#define SST_VIRTIO_ID 39 /* of all of Mimic's transports: QEMU accepts it, Linux has no driver */
#define SST_VIRTIO_ID_LINUX_SST 0x1042 /* of Linux SST's patched QEMU */
#define SST_VERSION 0x00010000
#define SST_REQUEST_QUEUE 0
#define SST_RESPONSE_QUEUE 1 /* answers to requests that have no room for one */
#define SST_EVENT_QUEUE 2
#define SST_MAX_QUEUE_PAIRS 16 /* Mimic's */
#define SST_MAX_COMPUTE_UNITS 1000000

#pragma pack(push, 1)

struct SSTRequest {
    sst_u32 type;
    sst_u32 flags;
    sst_u64 request_id; /* of /dev/sstN: the driver's; the user's own comes back in user_data */
    sst_u64 user_data;
    union {
        struct {
            sst_u64 compute_units;
            sst_u32 latency_model;
            sst_u32 reserved;
        } compute;
        struct {
            sst_u64 addr; /* of device memory */
            sst_u32 size; /* READ: at most SST_MAX_DATA_SIZE. WRITE: 16 less, its data follow here
                           */
            sst_u32 reserved;
        } memory;
        struct {
            sst_u32 param_id;
            sst_u32 reserved;
            sst_u64 value;
        } config;
        sst_u8 data[SST_MAX_DATA_SIZE];
    } payload;
};

struct SSTResponse {
    sst_u32 status;
    sst_u32 reserved; /* on a socket: the enum sst_request_flag that the peer has accepted */
    sst_u64 request_id;
    sst_u64 user_data;
    sst_u64 result; /* ECHO, READ, WRITE: bytes. COMPUTE: cycles. CONFIGURE: the value before */
    union {
        struct {
            sst_u64 cycles;    /* spent */
            sst_u64 timestamp; /* at its end, in cycles */
        } compute;
        struct {
            sst_u32 version;
            sst_u32 capabilities; /* feature bits */
            sst_u64 max_compute_units;
            sst_u64 memory_size;
        } info;
        sst_u8 data[SST_MAX_DATA_SIZE];
    } payload;
};

struct SSTEvent {
    sst_u32 type;
    sst_u32 reserved;
    sst_u64 timestamp; /* simulated time in ns */
    sst_u64 data;
};

/* Configuration space of the virtio device. */
struct SSTConfig {
    sst_u32 version;
    sst_u32 device_id; /* which of a machine's, from 0: its YAML says */
    sst_u64 features;
    sst_u32 max_queues; /* queue pairs */
    sst_u32 reserved;
};

/*
 * Mimic's: what a COMPUTE with SST_FLAG_WORK works on, at offset 16 of its payload. What is 0 is
 * derived: operations from 2 m n k, else from compute_units; bytes from the three matrices, else
 * from compute_units; m, n, k from the model, once for each compute unit.
 */
struct sst_work {
    sst_u64 operations; /* roofline */
    sst_u64 bytes;      /* of memory moved: roofline, bandwidth */
    sst_u32 m;          /* GEMM, C[m][n] = A[m][k] B[k][n]: systolic, roofline; 0 .. 2^20 */
    sst_u32 n;
    sst_u32 k;
    sst_u32 reserved;
};
#define SST_WORK_OFFSET 16
#define SST_MAX_GEMM_SIDE (1u << 20)

/* Mimic's. Times in ns of the clock that its sender keeps. */
struct sst_submit {
    sst_u64 submitted; /* lock-step: the guest's clock */
};

struct sst_timing {
    sst_u64 latency;  /* from submission to completion */
    sst_u64 finished; /* simulated time of the completion */
};

#pragma pack(pop)
