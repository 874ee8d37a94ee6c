/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR Apache-2.0 */
/*
 * Frames between the relay of a machine's supervisor and mimic-streamd in its guest, over a virtio
 * port, and between the relay and commands such as `mimic exec`, over a UNIX socket. C, for guests
 * and for C++. Little endian, without holes.
 *
 *      0        4         8      9        10        12         16
 *      +--------+---------+------+--------+---------+----------+-----------------+
 *      | length | channel | type | stream | zero    | sequence | length bytes    |
 *      +--------+---------+------+--------+---------+----------+-----------------+
 *
 * A channel is one command in the guest. Its streams have a credit each, in bytes, that the reader
 * grants and the writer uses up by DATA, header and all (STREAM_COST): so each end holds no more of
 * a stream than it granted, and always reads the port, and a slow reader holds up nobody else.
 *
 * A virtio port may lose bytes (the guest sleeps, either end starts anew, a snapshot is restored).
 * Frames are counted, and whoever finds a gap, or no frame, asks to begin anew: all channels end.
 * Beginning: STREAM_FILLER_BYTES of 0xff, which end whatever frame the other end still waits for,
 * then one frame to look for, with STREAM_MAGIC in it. HELLO has a random id, and WELCOME repeats
 * it: what was on the way before is thrown away.
 */
#pragma once

#include <stdint.h>

#define STREAM_PORT_NAME "org.mimic.streams.0" /* of the virtio port */
#define STREAM_VERSION 1u
#define STREAM_MAX_PAYLOAD 32768u
#define STREAM_FILLER_BYTES (STREAM_MAX_PAYLOAD + 32u) /* longer than a frame */
#define STREAM_MAX_CREDIT (1u << 20)                   /* of a stream at any time */
#define STREAM_MAX_CHANNELS 32u
#define STREAM_COST(length) ((uint32_t)(length) + 16u) /* of DATA with so many bytes */
#define STREAM_MAGIC "MimicStr"                        /* 8 bytes, without the NUL */
#define STREAM_ID_BYTES 16u

struct stream_header {
    uint32_t length;  /* of what follows, at most STREAM_MAX_PAYLOAD */
    uint32_t channel; /* 1 and up, chosen by the relay; 0: the port itself, and on UNIX sockets */
    uint8_t type;     /* enum stream_type */
    uint8_t stream;   /* 0 standard input, 1 output, 2 error */
    uint16_t zero;
    uint32_t sequence; /* 1 in the first frame after HELLO and WELCOME; 0 on UNIX sockets */
};

enum stream_type {
    /* The port itself: channel 0, stream 0, sequence 0, struct stream_sync. */
    STREAM_HELLO = 1,   /* to the guest: begin anew */
    STREAM_WELCOME = 2, /* from the guest: begun, with the id of HELLO */
    STREAM_RESTART = 3, /* from the guest: say HELLO */
    STREAM_PING = 4,    /* to the guest, no payload; counted like any other frame */
    STREAM_PONG = 5,    /* from the guest, at once */
    /* A channel. */
    STREAM_OPEN = 16,   /* to the guest: struct stream_open, then words, each with a NUL:
                         * environment (NAME=VALUE), arguments; before both the folder ("": the
                         * guest's choice) */
    STREAM_OPENED = 17, /* from the guest: struct stream_opened */
    STREAM_DATA = 18,   /* bytes of `stream`, 1 and up */
    STREAM_EOF = 19,    /* no more of `stream` */
    STREAM_CREDIT = 20, /* uint32_t: so many bytes more of `stream` */
    STREAM_SIGNAL = 21, /* to the guest, uint32_t: for the command's process group */
    STREAM_WINDOW = 22, /* to the guest: struct stream_window, of a terminal */
    STREAM_EXIT = 23,   /* from the guest: struct stream_exit; the last frame of a channel */
    STREAM_CLOSE = 24,  /* to the guest: nobody waits any more, end the command. It ends with EXIT
                         * as others do */
    STREAM_REFUSED = 32 /* from the relay to a command: uint32_t of enum stream_refusal, then a text
                         * for people; the last frame */
};

enum stream_refusal {
    STREAM_NOT_READY = 1, /* no program in the guest has answered yet */
    STREAM_TOO_MANY = 2,  /* STREAM_MAX_CHANNELS commands run */
    STREAM_LOST = 3,      /* the guest's program began anew, or broke the rules */
    STREAM_INVALID = 4,   /* the command broke the rules */
    STREAM_ENDS = 5       /* the machine ends */
};

struct stream_sync {
    char magic[8];
    uint8_t id[STREAM_ID_BYTES];
    uint32_t version;
    uint32_t zero;
};

#define STREAM_TERMINAL 1u /* stream_open.flags: the three streams are a new terminal */
#define STREAM_INPUT 2u    /* standard input comes; without it is /dev/null */

struct stream_window {
    uint16_t rows;
    uint16_t columns;
};

struct stream_open {
    uint32_t flags;
    uint32_t credit; /* of streams 1 and 2 each */
    struct stream_window window;
    uint32_t environment; /* count of words */
    uint32_t arguments;   /* the same, 1 and up */
};

enum stream_step { STREAM_STEP_START = 0, STREAM_STEP_FOLDER = 1, STREAM_STEP_PROGRAM = 2 };

struct stream_opened {
    uint32_t error;  /* errno of Linux; 0: the command runs, and else no other frame follows */
    uint32_t step;   /* enum stream_step: what failed */
    uint32_t credit; /* of stream 0 */
};

struct stream_exit {
    uint32_t status; /* exit status, or the signal */
    uint32_t by_signal;
};
