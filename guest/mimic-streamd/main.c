// SPDX-License-Identifier: Apache-2.0
/*
 * mimic-streamd [--fd N]
 *
 * Finds the virtio port by its name and serves it until it goes; with --fd,
 * serves a socket that it was given, for tests.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "streamd.h"

#define PORTS "/sys/class/virtio-ports"
/* How often to look for a port, and whether the host is there. */
#define LOOK_MS 200

static struct streamd all;

static bool has_name(const char *port)
{
	char path[512];
	char name[64];
	FILE *file;
	bool is;

	snprintf(path, sizeof(path), PORTS "/%.200s/name", port);
	file = fopen(path, "re");
	if (!file)
		return false;
	is = fgets(name, sizeof(name), file) &&
	     strcmp(name, STREAM_PORT_NAME "\n") == 0;
	fclose(file);
	return is;
}

/* The port's descriptor, or -1. */
static int open_port(void)
{
	DIR *folder = opendir(PORTS);
	struct dirent *entry;
	int fd = -1;

	if (!folder)
		return -1;
	while (fd < 0 && (entry = readdir(folder))) {
		char path[300];

		if (entry->d_name[0] == '.' || !has_name(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%.200s", entry->d_name);
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			fprintf(stderr, "mimic-streamd: %s: %s\n", path,
				strerror(errno));
	}
	closedir(folder);
	return fd;
}

/* Reads what has come. False: the port has gone. */
static bool read_port(bool *connected)
{
	struct port *port = &all.port;

	while (port->in_size < IN_ROOM && port->out_size < OUT_BUSY) {
		const ssize_t count = read(port->fd, port->in + port->in_size,
					   IN_ROOM - port->in_size);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return errno == EAGAIN;
		if (count == 0) { /* nobody has the host's end */
			*connected = false;
			return true;
		}
		port_take(port, (size_t)count, channel_frame, &all);
		if (port->broken)
			return true;
	}
	port_take(port, 0, channel_frame, &all);
	return true;
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for something to do. Returns what the port has. */
static short wait_for_events(int signals, bool connected)
{
	struct pollfd fds[2 + STREAM_MAX_CHANNELS * FD_COUNT];
	struct port *port = &all.port;
	size_t count = 2;
	int timeout = connected ? -1 : LOOK_MS;

	fds[0] = (struct pollfd){ signals, POLLIN, 0 };
	fds[1] = (struct pollfd){ connected ? port->fd : -1, 0, 0 };
	if (port->out_size < OUT_BUSY)
		fds[1].events |= POLLIN;
	if (port->out_size)
		fds[1].events |= POLLOUT;
	for (size_t i = 0; i < STREAM_MAX_CHANNELS; i++) {
		const struct channel *channel = &all.channels[i];

		if (!channel->pid)
			continue;
		if (channel->kill_at)
			timeout = LOOK_MS;
		count += channel_poll(&all, channel, fds + count);
	}
	if (poll(fds, count, timeout) < 0)
		return 0;
	if (fds[0].revents) {
		struct signalfd_siginfo info;
		ssize_t ignored = read(signals, &info, sizeof(info));

		(void)ignored;
		channels_reap(&all);
	}
	return connected ? fds[1].revents : POLLIN;
}

static int serve(int signals, bool is_socket)
{
	bool connected = true;
	size_t first = 0; /* who has the first turn, each time another */

	port_restart(&all.port);
	for (;;) {
		const short events = wait_for_events(signals, connected);
		const bool was = connected;

		connected = true;
		if ((events & (POLLIN | POLLHUP | POLLERR)) &&
		    !read_port(&connected))
			return 1;
		if (!connected) {
			if (is_socket)
				return 0;
			if (was) {
				channels_abandon(&all);
				port_restart(&all.port);
			}
		}
		if (all.port.broken) {
			fprintf(stderr, "mimic-streamd: out of step with the "
					"host, beginning anew\n");
			channels_abandon(&all);
			port_restart(&all.port);
		}
		for (size_t i = 0; i < STREAM_MAX_CHANNELS; i++)
			channel_step(&all,
				     &all.channels[(first + i) %
						   STREAM_MAX_CHANNELS],
				     now_ms());
		first++;
		if (connected && !port_flush(&all.port))
			return 1;
	}
}

int main(int argc, char **argv)
{
	const bool is_socket = argc == 3 && strcmp(argv[1], "--fd") == 0;
	sigset_t mask;
	int signals;

	if (argc != 1 && !is_socket) {
		fprintf(stderr, "usage: mimic-streamd [--fd N]\n");
		return 2;
	}
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return 1;
	if (is_socket) {
		all.port.fd = atoi(argv[2]);
		fcntl(all.port.fd, F_SETFD, FD_CLOEXEC);
		fcntl(all.port.fd, F_SETFL, O_NONBLOCK);
	}
	while (!is_socket && (all.port.fd = open_port()) < 0)
		poll(NULL, 0, LOOK_MS);
	return serve(signals, is_socket);
}
