// SPDX-License-Identifier: Apache-2.0
/* Starting a command: its descriptors, its folder, its environment. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "streamd.h"

#define PIPE_BYTES (256 << 10) /* arbitrary: eight frames */

/* Descriptors of the command, ours are in the channel. */
struct ends {
	int fds[3];
	int started;
};

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* `ours` does not block, `theirs` does. */
static int make_pipe(int *read_end, int *write_end, const int *ours)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return errno;
	*read_end = fds[0];
	*write_end = fds[1];
	/* Larger is faster; what there is will do as well. */
	(void)fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES);
	if (fcntl(*ours, F_SETFL, O_NONBLOCK) != 0)
		return errno;
	return 0;
}

static int make_pipes(struct channel *channel, struct ends *ends, bool input)
{
	int error = 0;

	if (input)
		error = make_pipe(&ends->fds[0], &channel->fds[FD_IN],
				  &channel->fds[FD_IN]);
	else if ((ends->fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		error = errno;
	if (!error)
		error = make_pipe(&channel->fds[FD_OUT], &ends->fds[1],
				  &channel->fds[FD_OUT]);
	if (!error)
		error = make_pipe(&channel->fds[FD_ERR], &ends->fds[2],
				  &channel->fds[FD_ERR]);
	return error;
}

static int make_terminal(struct channel *channel, struct ends *ends,
			 const struct stream_window *window)
{
	const struct winsize size = { .ws_row = window->rows,
				      .ws_col = window->columns };
	char name[64];
	const int master =
		posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (master < 0)
		return errno;
	channel->fds[FD_OUT] = master;
	if (grantpt(master) != 0 || unlockpt(master) != 0 ||
	    ptsname_r(master, name, sizeof(name)) != 0)
		return errno;
	(void)ioctl(master, TIOCSWINSZ, &size);
	ends->fds[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return ends->fds[0] < 0 ? errno : 0;
}

static _Noreturn void give_up(int started, uint32_t step)
{
	const struct stream_opened why = { .error = (uint32_t)errno,
					   .step = step };
	ssize_t ignored = write(started, &why, sizeof(why));

	(void)ignored;
	_exit(127);
}

static _Noreturn void run(const struct stream_open *open, struct ends *ends,
			  const char *folder, char **environment,
			  char **arguments)
{
	const bool terminal = open->flags & STREAM_TERMINAL;
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGHUP); /* who serves its streams has gone */
	setsid();
	if (terminal)
		(void)ioctl(ends->fds[0], TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		if (dup2(ends->fds[terminal ? 0 : i], i) < 0)
			give_up(ends->started, STREAM_STEP_START);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	       0);
	setenv("HOME", "/root", 0);
	for (; *environment; environment++)
		putenv(*environment);
	if (*folder && chdir(folder) != 0)
		give_up(ends->started, STREAM_STEP_FOLDER);
	execvp(arguments[0], arguments);
	give_up(ends->started, STREAM_STEP_PROGRAM);
}

int spawn(struct channel *channel, const struct stream_open *open,
	  const char *folder, char **environment, char **arguments)
{
	struct ends ends = { .fds = { -1, -1, -1 }, .started = -1 };
	int error;

	if (open->flags & STREAM_TERMINAL)
		error = make_terminal(channel, &ends, &open->window);
	else
		error = make_pipes(channel, &ends, open->flags & STREAM_INPUT);
	if (!error)
		error = make_pipe(&channel->fds[FD_STARTED], &ends.started,
				  &channel->fds[FD_STARTED]);
	if (!error) {
		const pid_t pid = fork();

		if (pid == 0)
			run(open, &ends, folder, environment, arguments);
		if (pid < 0)
			error = errno;
		else
			channel->pid = pid;
	}
	close_all(ends.fds, 3);
	close_all(&ends.started, 1);
	if (error)
		close_all(channel->fds, FD_COUNT);
	return error;
}
