# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# Sourced: a user without rights. A minimal root has no useradd.
if ! grep -q '^tester:' /etc/passwd; then
    echo 'tester:x:1000:1000::/home/tester:/bin/sh' >>/etc/passwd
    echo 'tester:x:1000:' >>/etc/group
    mkdir -p /home/tester
fi
chown -R tester:tester /home/tester
as_tester() { setpriv --reuid tester --regid tester --clear-groups "$@"; }
