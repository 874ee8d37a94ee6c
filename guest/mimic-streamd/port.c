// SPDX-License-Identifier: Apache-2.0
/* Frames on the port: taken apart, put together, counted. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "streamd.h"

#define SYNC_FRAME (sizeof(struct stream_header) + sizeof(struct stream_sync))

void port_reset(struct port *port)
{
	port->hunting = true;
	port->broken = false;
	port->in_size = 0;
	port->in_sequence = 0;
	port->out_begin = 0;
	port->out_size = 0;
	port->out_sequence = 0;
}

static void append(struct port *port, const void *bytes, size_t count)
{
	if (port->out_begin + port->out_size + count > OUT_ROOM) {
		memmove(port->out, port->out + port->out_begin, port->out_size);
		port->out_begin = 0;
	}
	if (port->out_size + count > OUT_ROOM) {
		port->broken = true; /* cannot be: see OUT_BUSY */
		return;
	}
	if (count)
		memcpy(port->out + port->out_begin + port->out_size, bytes,
		       count);
	port->out_size += count;
}

static void send_frame(struct port *port, const struct stream_header *header,
		       const void *payload)
{
	append(port, header, sizeof(*header));
	append(port, payload, header->length);
}

static void send_sync(struct port *port, uint8_t type, const uint8_t *id)
{
	const struct stream_header header = {
		.length = sizeof(struct stream_sync), .type = type
	};
	struct stream_sync sync = { .version = STREAM_VERSION };

	memcpy(sync.magic, STREAM_MAGIC, sizeof(sync.magic));
	memcpy(sync.id, id, sizeof(sync.id));
	send_frame(port, &header, &sync);
}

void port_restart(struct port *port)
{
	static uint8_t filler[STREAM_FILLER_BYTES];
	static const uint8_t no_id[STREAM_ID_BYTES];

	port_reset(port);
	memset(filler, 0xff, sizeof(filler));
	append(port, filler, sizeof(filler));
	send_sync(port, STREAM_RESTART, no_id);
}

void port_welcome(struct port *port, const struct stream_sync *hello)
{
	/* What was on the way is of no interest: who said HELLO looks for our
	 * answer, and in_size still counts what came behind it. */
	port->out_begin = 0;
	port->out_size = 0;
	port->in_sequence = 0;
	port->out_sequence = 0;
	send_sync(port, STREAM_WELCOME, hello->id);
}

void port_send(struct port *port, uint32_t channel, uint8_t type,
	       uint8_t stream, const void *payload, uint32_t length)
{
	const struct stream_header header = { .length = length,
					      .channel = channel,
					      .type = type,
					      .stream = stream,
					      .sequence =
						      ++port->out_sequence };

	send_frame(port, &header, payload);
}

static bool is_hello(const struct stream_header *header, const uint8_t *payload)
{
	return header->type == STREAM_HELLO && header->channel == 0 &&
	       header->stream == 0 && header->zero == 0 &&
	       header->length == sizeof(struct stream_sync) &&
	       header->sequence == 0 &&
	       memcmp(payload, STREAM_MAGIC,
		      sizeof(((struct stream_sync *)0)->magic)) == 0;
}

static bool is_filler(const struct stream_header *header)
{
	return header->length == UINT32_MAX && header->channel == UINT32_MAX;
}

static bool can_be(const struct port *port, const struct stream_header *header)
{
	return header->length <= STREAM_MAX_PAYLOAD && header->stream <= 2 &&
	       header->zero == 0 &&
	       (header->sequence == port->in_sequence + 1 ||
		(header->type == STREAM_HELLO && header->sequence == 0));
}

/* Bytes of what is at `at` that are done with; 0: more must come. */
static size_t take_one(struct port *port, size_t at, port_handler *handler,
		       void *context)
{
	const uint8_t *bytes = port->in + at;
	const size_t left = port->in_size - at;
	struct stream_header header;

	if (left < sizeof(header))
		return 0;
	memcpy(&header, bytes, sizeof(header));
	if (port->hunting) {
		if (header.type != STREAM_HELLO ||
		    header.length != sizeof(struct stream_sync))
			return 1;
		if (left < SYNC_FRAME)
			return 0;
		if (!is_hello(&header, bytes + sizeof(header)))
			return 1;
	} else if (is_filler(&header)) {
		/* HELLO follows: to ask for it would bring another one. */
		port->hunting = true;
		return 1;
	} else if (!can_be(port, &header)) {
		port->broken = true;
		return 0;
	}
	if (left < sizeof(header) + header.length)
		return 0;
	if (header.type == STREAM_HELLO &&
	    !is_hello(&header, bytes + sizeof(header))) {
		port->broken = true;
		return 0;
	}
	port->hunting = false;
	port->in_sequence = header.sequence;
	handler(context, &header, bytes + sizeof(header));
	return sizeof(header) + header.length;
}

void port_take(struct port *port, size_t count, port_handler *handler,
	       void *context)
{
	size_t at = 0;

	port->in_size += count;
	while (!port->broken && port->out_size < OUT_BUSY) {
		const size_t done = take_one(port, at, handler, context);

		if (!done)
			break;
		at += done;
	}
	port->in_size -= at;
	memmove(port->in, port->in + at, port->in_size);
}

bool port_flush(struct port *port)
{
	while (port->out_size) {
		const ssize_t count = write(port->fd,
					    port->out + port->out_begin,
					    port->out_size);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return errno == EAGAIN;
		port->out_begin += (size_t)count;
		port->out_size -= (size_t)count;
	}
	port->out_begin = 0;
	return true;
}
