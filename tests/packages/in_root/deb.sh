#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# deb.sh DEB: installs the package as a user would, boots a machine as a user without rights, and removes the package again.
set -eu
begin=$(date +%s)
apt-get -q update >/packages/apt.log 2>&1 || { cat /packages/apt.log; exit 1; }
apt-get -q -y --no-install-recommends install "$1" >/packages/apt.log 2>&1 || { tail -n 30 /packages/apt.log; exit 1; }
echo "seconds: apt install $(($(date +%s) - begin))"
# shellcheck source=/dev/null
. /packages/tester.sh
ls /usr/share/man/man1/mimic-up.1.gz /usr/share/bash-completion/completions/mimic /usr/lib/systemd/user/mimic-api.service \
    /usr/share/doc/mimic/docs/openapi/control-v1.json /usr/share/mimic/grafana/mimic.json
as_tester sh /packages/machine.sh mimic /usr/share/mimic/examples
apt-get -q -y purge mimic >/packages/apt.log 2>&1 || { tail -n 30 /packages/apt.log; exit 1; }
left=$(find / -xdev -path /proc -prune -o -path /home -prune -o -path /packages -prune -o -path /tmp -prune -o -name '*mimic*' -print)
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
