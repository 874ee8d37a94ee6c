// SPDX-License-Identifier: Apache-2.0

// The program of a pod's sandbox: holds the namespaces and buries orphans until it is told to end.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop(int number)
{
    (void)number;
    _exit(0);
}

static void bury(int number)
{
    (void)number;
    while (waitpid(-1, 0, WNOHANG) > 0)
        ;
}

int main(void)
{
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    signal(SIGCHLD, bury);
    for (;;)
        pause();
}
