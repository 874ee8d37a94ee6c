/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mimic-streamd: runs commands in a guest for `mimic exec`, `mimic cp` and
 * `mimic run`, and carries their streams over one virtio port
 * (stream_protocol.h). One thread, one poll(2). What the port says is checked
 * in port.c (frames) and channel.c (their content).
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stream_protocol.h"

#define FRAME_ROOM (STREAM_MAX_PAYLOAD + sizeof(struct stream_header))
#define IN_ROOM (2 * FRAME_ROOM)
/* What waits to be written: data as long as less than the first, frames of the
 * port are looked at as long as less than the second. */
#define OUT_DATA ((size_t)96 << 10)
#define OUT_BUSY ((size_t)192 << 10)
#define OUT_ROOM ((size_t)256 << 10)
/* Credit of standard input. */
#define INPUT_ROOM ((size_t)256 << 10)

struct port {
	int fd;
	bool hunting; /* for HELLO */
	bool broken; /* the other end broke the rules, or bytes are lost */
	uint32_t in_sequence; /* of the last frame */
	uint32_t out_sequence;
	size_t in_size;
	size_t out_begin;
	size_t out_size; /* from out_begin on */
	uint8_t in[IN_ROOM];
	uint8_t out[OUT_ROOM];
};

/* What came: `payload` has header->length bytes. */
typedef void port_handler(void *context, const struct stream_header *header,
			  const uint8_t *payload);

/* Forgets what came and what was to go; looks for HELLO from now on. */
void port_reset(struct port *port);
/* port_reset(), then asks for HELLO. */
void port_restart(struct port *port);
/* Answers HELLO. */
void port_welcome(struct port *port, const struct stream_sync *hello);

/* Takes bytes that are at in + in_size, `count` of them, and calls `handler`
 * for each frame. Stops at OUT_BUSY; call with 0 bytes to go on. `broken` is
 * set at the first frame that cannot be. */
void port_take(struct port *port, size_t count, port_handler *handler,
	       void *context);

/* Appends a frame. Callers keep to OUT_DATA with data. */
void port_send(struct port *port, uint32_t channel, uint8_t type,
	       uint8_t stream, const void *payload, uint32_t length);

/* Writes what it can. False: the port has gone. */
bool port_flush(struct port *port);

enum { FD_IN, FD_OUT, FD_ERR, FD_STARTED, FD_COUNT };

/* One command. Free if pid is 0. */
struct channel {
	uint32_t id; /* 0: nobody wants to hear of it */
	pid_t pid;
	bool terminal;
	bool running; /* not yet waited for */
	bool closing; /* its output is dropped */
	int status; /* of wait(2) */
	int fds[FD_COUNT]; /* -1: closed; of a terminal, FD_IN is FD_OUT's */
	uint8_t *input; /* a ring of INPUT_ROOM bytes */
	size_t input_begin;
	size_t input_size;
	bool input_ended;
	bool input_end_told; /* to the terminal */
	uint32_t input_credit; /* what may still come */
	uint32_t input_taken; /* and what may be granted again */
	uint32_t credit[3];
	int64_t kill_at; /* ms; 0: not */
};

struct streamd {
	struct port port;
	struct channel channels[STREAM_MAX_CHANNELS];
};

/* A frame from the host. */
void channel_frame(void *streamd, const struct stream_header *header,
		   const uint8_t *payload);
/* Ends all commands, without a word about it to the host. */
void channels_abandon(struct streamd *all);
/* Which descriptors to wait for: fills at most FD_COUNT entries. */
size_t channel_poll(const struct streamd *all, const struct channel *channel,
		    struct pollfd *fds);
/* Milliseconds of a clock that does not jump. */
int64_t now_ms(void);
/* Does what can be done without waiting; a channel that has ended gets free. */
void channel_step(struct streamd *all, struct channel *channel, int64_t now_ms);
/* SIGCHLD came. */
void channels_reap(struct streamd *all);

/* Starts what an OPEN asks for. Returns 0 or an errno; fds and pid are set. */
int spawn(struct channel *channel, const struct stream_open *open,
	  const char *folder, char **environment, char **arguments);
