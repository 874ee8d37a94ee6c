#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# guide_test.sh BIN_DIR: runs every command of docs/kubernetes/testing-guide.md that does not say why it is not run, in a folder of its own.
set -uo pipefail
root=$(cd "$(dirname "$(readlink -f -- "$0")")/../.." && pwd)
bin=$(cd "$1" && pwd)
guide=$root/docs/kubernetes/testing-guide.md
command -v go >/dev/null || { echo "SKIP: there is no go in PATH"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "SKIP: a cluster needs root"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
# Each block of commands has a line before it; "run: host" ones go into a script.
awk -v out="$work/commands" '
    /^<!-- (run|not run): .+ -->$/ { mark = $0; next }
    /^```(sh|go)$/ { if (mark == "") { print "line " NR ": nobody says who runs this"; bad = 1 } inside = (mark ~ /^<!-- run: host/); next }
    /^```$/ { if (inside) blocks++; inside = 0; mark = ""; next }
    inside { print >out }
    END { if (!blocks) { print "there are no commands"; bad = 1 } exit bad }' "$guide" || exit 1
for each in tools tests examples; do ln -s "$root/$each" "$work/$each"; done
mkdir -p "$work/build/release" && ln -s "$bin" "$work/build/release/bin"
cd "$work" && bash -euo pipefail -x commands
