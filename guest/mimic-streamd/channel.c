// SPDX-License-Identifier: Apache-2.0
/* Commands: what frames ask of them, and what becomes of their streams. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "streamd.h"

#define MAX_WORDS 4096u /* arbitrary: a frame has room for few more */
/* From SIGHUP to SIGKILL for a command that nobody waits for. Arbitrary. */
#define GRACE_MS 2000

static struct channel *find(struct streamd *all, uint32_t id)
{
	for (size_t i = 0; i < STREAM_MAX_CHANNELS; i++)
		if (all->channels[i].pid && all->channels[i].id == id)
			return &all->channels[i];
	return NULL;
}

static void close_fd(struct channel *channel, int which)
{
	if (channel->fds[which] >= 0)
		close(channel->fds[which]);
	channel->fds[which] = -1;
}

static void release(struct channel *channel)
{
	for (int i = 0; i < FD_COUNT; i++)
		close_fd(channel, i);
	free(channel->input);
	memset(channel, 0, sizeof(*channel));
}

static void tell(struct streamd *all, const struct channel *channel,
		 uint8_t type, uint8_t stream, const void *payload,
		 uint32_t length)
{
	if (channel->id)
		port_send(&all->port, channel->id, type, stream, payload,
			  length);
}

static void tell_opened(struct streamd *all, uint32_t id, uint32_t error,
			uint32_t step)
{
	const struct stream_opened opened = { .error = error,
					      .step = step,
					      .credit = INPUT_ROOM };

	port_send(&all->port, id, STREAM_OPENED, 0, &opened, sizeof(opened));
}

/* Its group, which it has from its first steps on, or the process alone. */
static void signal_command(const struct channel *channel, int number)
{
	if (kill(-channel->pid, number) != 0)
		kill(channel->pid, number);
}

/* Nobody waits for it any more. */
static void close_channel(struct channel *channel)
{
	if (channel->closing)
		return;
	channel->closing = true;
	for (int i = 0; i <= FD_ERR; i++)
		close_fd(channel, i);
	if (!channel->running)
		return;
	signal_command(channel, SIGHUP);
	signal_command(channel, SIGCONT);
	channel->kill_at = now_ms() + GRACE_MS;
}

void channels_abandon(struct streamd *all)
{
	for (size_t i = 0; i < STREAM_MAX_CHANNELS; i++) {
		struct channel *channel = &all->channels[i];

		if (!channel->pid)
			continue;
		channel->id = 0;
		close_channel(channel);
	}
}

/*
 * Cuts the words of OPEN into folder, environment and arguments: pointers into
 * `text`, which ends with a NUL. `words` has room for all and two NULLs.
 */
static bool cut_words(const struct stream_open *open, char *text, size_t size,
		      char **words)
{
	const size_t count = (size_t)open->environment + open->arguments + 1;
	size_t at = 0;
	size_t place = 0;

	for (size_t i = 0; i < count; i++) {
		const char *end = at < size ? memchr(text + at, 0, size - at) :
					      NULL;

		if (!end)
			return false;
		words[place++] = text + at;
		if (i == open->environment)
			words[place++] = NULL;
		at = (size_t)(end - text) + 1;
	}
	words[place] = NULL;
	return at == size;
}

static void start(struct streamd *all, uint32_t id,
		  const struct stream_open *open, char **words)
{
	struct channel *channel = NULL;
	int error;

	for (size_t i = 0; i < STREAM_MAX_CHANNELS; i++)
		if (!all->channels[i].pid)
			channel = &all->channels[i];
	if (!channel) { /* some still end */
		tell_opened(all, id, EAGAIN, STREAM_STEP_START);
		return;
	}
	for (int i = 0; i < FD_COUNT; i++)
		channel->fds[i] = -1;
	channel->input = malloc(INPUT_ROOM);
	error = channel->input ? spawn(channel, open, words[0], words + 1,
				       words + open->environment + 2) :
				 ENOMEM;
	if (error) {
		release(channel);
		tell_opened(all, id, (uint32_t)error, STREAM_STEP_START);
		return;
	}
	channel->id = id;
	channel->running = true;
	channel->terminal = open->flags & STREAM_TERMINAL;
	channel->input_credit = INPUT_ROOM;
	channel->credit[1] = open->credit;
	channel->credit[2] = open->credit;
}

static void on_open(struct streamd *all, const struct stream_header *header,
		    const uint8_t *payload)
{
	static char text[STREAM_MAX_PAYLOAD];
	static char *words[MAX_WORDS + 3];
	struct stream_open open;
	const size_t size = header->length - sizeof(open);

	if (header->length < sizeof(open) || !header->channel ||
	    find(all, header->channel)) {
		all->port.broken = true;
		return;
	}
	memcpy(&open, payload, sizeof(open));
	memcpy(text, payload + sizeof(open), size);
	if (open.credit > STREAM_MAX_CREDIT || !open.arguments ||
	    open.environment > MAX_WORDS || open.arguments > MAX_WORDS ||
	    open.environment + open.arguments > MAX_WORDS ||
	    !cut_words(&open, text, size, words)) {
		all->port.broken = true;
		return;
	}
	start(all, header->channel, &open, words);
}

static void on_data(struct streamd *all, struct channel *channel,
		    const uint8_t *payload, uint32_t length)
{
	size_t end;
	size_t first;

	if (STREAM_COST(length) > channel->input_credit ||
	    channel->input_ended) {
		all->port.broken = true;
		return;
	}
	channel->input_credit -= STREAM_COST(length);
	channel->input_taken += STREAM_COST(0);
	if (channel->closing)
		return;
	end = (channel->input_begin + channel->input_size) % INPUT_ROOM;
	first = INPUT_ROOM - end < length ? INPUT_ROOM - end : length;
	memcpy(channel->input + end, payload, first);
	memcpy(channel->input, payload + first, length - first);
	channel->input_size += length;
}

static void on_credit(struct streamd *all, struct channel *channel,
		      uint8_t stream, uint32_t more)
{
	if (!stream || more > STREAM_MAX_CREDIT ||
	    channel->credit[stream] + more > STREAM_MAX_CREDIT) {
		all->port.broken = true;
		return;
	}
	channel->credit[stream] += more;
}

static uint32_t number_of(const struct stream_header *header,
			  const uint8_t *payload)
{
	uint32_t number = UINT32_MAX;

	if (header->length == sizeof(number))
		memcpy(&number, payload, sizeof(number));
	return number;
}

static void on_signal(struct channel *channel, uint32_t number)
{
	if (number >= 1 && number <= 64 && channel->running)
		kill(-channel->pid, (int)number);
}

static void on_window(struct channel *channel,
		      const struct stream_header *header,
		      const uint8_t *payload)
{
	struct stream_window window;
	struct winsize size = { 0 };

	if (header->length != sizeof(window) || !channel->terminal ||
	    channel->fds[FD_OUT] < 0)
		return;
	memcpy(&window, payload, sizeof(window));
	size.ws_row = window.rows;
	size.ws_col = window.columns;
	(void)ioctl(channel->fds[FD_OUT], TIOCSWINSZ, &size);
}

void channel_frame(void *streamd, const struct stream_header *header,
		   const uint8_t *payload)
{
	struct streamd *all = streamd;
	struct channel *channel;

	switch (header->type) {
	case STREAM_HELLO: {
		struct stream_sync hello;

		memcpy(&hello, payload, sizeof(hello));
		channels_abandon(all);
		port_welcome(&all->port, &hello);
		return;
	}
	case STREAM_PING:
		port_send(&all->port, 0, STREAM_PONG, 0, NULL, 0);
		return;
	case STREAM_OPEN:
		on_open(all, header, payload);
		return;
	default:
		break;
	}
	channel = header->channel ? find(all, header->channel) : NULL;
	if (!channel)
		return; /* it has ended while this was on its way */
	switch (header->type) {
	case STREAM_DATA:
		on_data(all, channel, payload, header->length);
		break;
	case STREAM_EOF:
		channel->input_ended = true;
		break;
	case STREAM_CREDIT:
		on_credit(all, channel, header->stream,
			  number_of(header, payload));
		break;
	case STREAM_SIGNAL:
		on_signal(channel, number_of(header, payload));
		break;
	case STREAM_WINDOW:
		on_window(channel, header, payload);
		break;
	case STREAM_CLOSE:
		close_channel(channel);
		break;
	default:
		all->port.broken = true;
	}
}

/* The descriptor that takes the input. */
static int input_fd(const struct channel *channel)
{
	return channel->fds[channel->terminal ? FD_OUT : FD_IN];
}

static bool may_send(const struct streamd *all, const struct channel *channel,
		     int which)
{
	return channel->fds[which] >= 0 &&
	       channel->credit[which] > STREAM_COST(0) &&
	       channel->fds[FD_STARTED] < 0 && all->port.out_size < OUT_DATA;
}

size_t channel_poll(const struct streamd *all, const struct channel *channel,
		    struct pollfd *fds)
{
	size_t count = 0;

	if (channel->fds[FD_STARTED] >= 0)
		fds[count++] = (struct pollfd){ channel->fds[FD_STARTED],
						POLLIN, 0 };
	for (int i = FD_OUT; i <= FD_ERR; i++)
		if (may_send(all, channel, i))
			fds[count++] = (struct pollfd){ channel->fds[i], POLLIN,
							0 };
	if (channel->input_size && input_fd(channel) >= 0)
		fds[count++] = (struct pollfd){ input_fd(channel), POLLOUT, 0 };
	return count;
}

/* True once it is known whether the command runs. */
static bool step_started(struct streamd *all, struct channel *channel)
{
	struct stream_opened why = { 0 };
	ssize_t count;

	if (channel->fds[FD_STARTED] < 0)
		return true;
	count = read(channel->fds[FD_STARTED], &why, sizeof(why));
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	close_fd(channel, FD_STARTED);
	if (count != sizeof(why) || !why.error)
		why = (struct stream_opened){ 0 };
	if (channel->id)
		tell_opened(all, channel->id, why.error, why.step);
	if (why.error) {
		/* It has been told; what is left is to wait for the process. */
		for (int i = FD_IN; i <= FD_ERR; i++)
			close_fd(channel, i);
		channel->id = 0;
		channel->closing = true;
	}
	return true;
}

/* False: nobody reads it any more. */
static bool write_input(struct channel *channel, int fd)
{
	while (channel->input_size) {
		const size_t to_end = INPUT_ROOM - channel->input_begin;
		const size_t part = channel->input_size < to_end ?
					    channel->input_size :
					    to_end;
		const ssize_t count = write(
			fd, channel->input + channel->input_begin, part);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return errno == EAGAIN;
		channel->input_begin =
			(channel->input_begin + (size_t)count) % INPUT_ROOM;
		channel->input_size -= (size_t)count;
		channel->input_taken += (uint32_t)count;
	}
	return true;
}

static void step_input(struct streamd *all, struct channel *channel)
{
	const int fd = input_fd(channel);

	if (fd < 0)
		return;
	if (!write_input(channel, fd)) {
		if (!channel->terminal)
			close_fd(channel, FD_IN);
		channel->input_size = 0;
		tell(all, channel, STREAM_EOF, 0, NULL, 0);
		return;
	}
	if (channel->input_taken >= INPUT_ROOM / 4 && !channel->input_ended) {
		const uint32_t more = channel->input_taken;

		channel->input_taken = 0;
		channel->input_credit += more;
		tell(all, channel, STREAM_CREDIT, 0, &more, sizeof(more));
	}
	if (!channel->input_ended || channel->input_size)
		return;
	if (!channel->terminal) {
		close_fd(channel, FD_IN);
	} else if (!channel->input_end_told) { /* what ^D does */
		channel->input_end_told = write(fd, "\004", 1) == 1;
	}
}

static void end_stream(struct streamd *all, struct channel *channel, int which)
{
	close_fd(channel, which);
	tell(all, channel, STREAM_EOF, (uint8_t)which, NULL, 0);
}

/* One frame, so that each has its turn. False: there is nothing now. */
static bool read_output(struct streamd *all, struct channel *channel, int which)
{
	static uint8_t buffer[STREAM_MAX_PAYLOAD];
	/* With its header it is as much as one write(2) to the port takes. */
	size_t room = sizeof(buffer) - sizeof(struct stream_header);
	ssize_t count;

	if (STREAM_COST(room) > channel->credit[which])
		room = channel->credit[which] - STREAM_COST(0);
	count = read(channel->fds[which], buffer, room);
	if (count < 0 && errno == EINTR)
		return true;
	/* Of a terminal, what the command wrote was there before it ended;
	 * others may have it open for ever. */
	if (count < 0 && errno == EAGAIN &&
	    (!channel->terminal || channel->running))
		return false;
	if (count <= 0) {
		end_stream(all, channel, which);
		return false;
	}
	channel->credit[which] -= STREAM_COST(count);
	tell(all, channel, STREAM_DATA, (uint8_t)which, buffer,
	     (uint32_t)count);
	return true;
}

static void step_output(struct streamd *all, struct channel *channel, int which)
{
	while (may_send(all, channel, which) &&
	       read_output(all, channel, which) && channel->terminal &&
	       !channel->running)
		;
}

void channel_step(struct streamd *all, struct channel *channel, int64_t now)
{
	if (!channel->pid)
		return;
	/* Also of a command that is stuck on its way, in a folder that does not
	 * answer. */
	if (channel->kill_at && now >= channel->kill_at) {
		if (channel->running)
			signal_command(channel, SIGKILL);
		channel->kill_at = 0;
	}
	if (!step_started(all, channel))
		return;
	if (!channel->closing) {
		step_input(all, channel);
		step_output(all, channel, FD_OUT);
		step_output(all, channel, FD_ERR);
	}
	if (channel->running || channel->fds[FD_OUT] >= 0 ||
	    channel->fds[FD_ERR] >= 0)
		return;
	const struct stream_exit end = {
		.status = (uint32_t)(WIFSIGNALED(channel->status) ?
					     WTERMSIG(channel->status) :
					     WEXITSTATUS(channel->status)),
		.by_signal = WIFSIGNALED(channel->status)
	};

	tell(all, channel, STREAM_EXIT, 0, &end, sizeof(end));
	release(channel);
}

void channels_reap(struct streamd *all)
{
	for (size_t i = 0; i < STREAM_MAX_CHANNELS; i++) {
		struct channel *channel = &all->channels[i];

		if (channel->pid && channel->running &&
		    waitpid(channel->pid, &channel->status, WNOHANG) ==
			    channel->pid)
			channel->running = false;
	}
}
