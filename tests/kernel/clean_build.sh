#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# clean_build.sh SERIES MODULE_FOLDER: builds the module for one of our kernels with W=1 and sparse and fails on any
# warning. Prints "SKIP: reason" and exits 77 where that kernel's headers cannot be parsed by this sparse.
set -euo pipefail

series=$1
source=$2
tools=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../tools

command -v sparse >/dev/null || { echo "SKIP: sparse is not installed (tools/setup build)"; exit 77; }
out=$(mktemp -d "${TMPDIR:-/tmp}/mimic-kernel.XXXXXX")
trap 'rm -rf "$out"' EXIT

check=(C=2)
# sparse 0.6.4 stops at the -march of a riscv64 kernel; what it would say of these sources it says on x86-64.
# Nor can it parse the newest kernel's own headers.
[[ $series != *-riscv64 && $series != newest ]] || check=()

"$tools/debs" module "$series" "$source" "$out" modules "${check[@]}" >"$out/path" 2>"$out/log" ||
    { cat "$out/log"; echo "$series: the module does not build"; exit 1; }
# Progress is on stderr too; what compilers and sparse say names a place in a source.
if grep -E '(warning|error):' "$out/log"; then
    echo "$series: the build is not clean"
    exit 1
fi
[ -n "$(find "$out" -name '*.ko')" ] || { echo "$series: no module came out"; exit 1; }
echo "$series: $(basename "$source") builds without warnings (W=1${check:+, sparse})"
