#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# machine.sh MIMIC EXAMPLES: as a user without rights, from nothing to a machine that is as its file says; prints the seconds.
set -eu
mimic=$1
examples=$2
export HOME=/home/tester XDG_RUNTIME_DIR=/tmp/tester-run
mkdir -p "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
begin=$(date +%s)
"$mimic" --version
"$mimic" doctor --install
prepared=$(date +%s)
"$mimic" up "$examples/dual-numa.yaml"
"$mimic" verify
end=$(date +%s)
"$mimic" exec dual-numa -- uname -r
"$mimic" down
echo "seconds: doctor --install $((prepared - begin)), up and verify $((end - prepared)), together $((end - begin))"
