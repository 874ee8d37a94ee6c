#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# dkms.sh DEB MODULE...: installs kernel headers and the package, and looks whether DKMS built each module for them.
set -eu
deb=$1
shift
apt-get -q update >/packages/apt.log 2>&1 || { cat /packages/apt.log; exit 1; }
apt-get -q -y --no-install-recommends install dkms linux-headers-amd64 gcc make kmod >/packages/apt.log 2>&1 ||
    { tail -n 30 /packages/apt.log; exit 1; }
begin=$(date +%s)
apt-get -q -y --no-install-recommends install "$deb" >/packages/apt.log 2>&1 || { tail -n 60 /packages/apt.log; exit 1; }
echo "seconds: modules built $(($(date +%s) - begin))"
dkms status
for module in "$@"; do
    dkms status -m "$module" | grep -q ': installed' || { tail -n 60 /packages/apt.log; echo "$module is not installed"; exit 1; }
    modinfo -F version "$(find /lib/modules -name "$module.ko*" | head -n 1)"
done
apt-get -q -y purge mimic-dkms >/packages/apt.log 2>&1 || { tail -n 30 /packages/apt.log; exit 1; }
[ -z "$(dkms status)" ] || { dkms status; echo "modules are left behind"; exit 1; }
[ -z "$(find /lib/modules /usr/src -name 'mock-accel*')" ]
