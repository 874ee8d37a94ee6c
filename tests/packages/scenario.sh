#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# scenario.sh ROOT SCRIPT [ARG...]: runs /packages/SCRIPT in the root file system ROOT, in namespaces of its own, so that nothing that it
# starts or mounts outlives it.
set -eu
root=$1
shift
# shellcheck disable=SC2016 # The inner shell's own.
exec unshare --mount --pid --fork --kill-child sh -euc '
    root=$1
    shift
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 dev "$root/dev"
    for name in null zero full random urandom tty; do
        : >"$root/dev/$name"
        mount --bind "/dev/$name" "$root/dev/$name"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    mkdir -m 1777 "$root/dev/shm"
    mount -t tmpfs shm "$root/dev/shm"
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive chroot "$root" "/packages/$@"
' sh "$root" "$@"
