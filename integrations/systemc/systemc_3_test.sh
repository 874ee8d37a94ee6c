#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# systemc_3_test.sh TREE TEST COMPILER: builds the example against SystemC 3.0 of Debian 13, which tools/debs unpacks beside the
# system's own, and runs TEST with it. Debian 13's C library comes along, so the program is run by its loader. Without sanitizers:
# those of this system do not know that C library.
set -euo pipefail
tree=$1 test=$2 compiler=$3
# shellcheck disable=SC2034 # Read by say() in lib/common.sh.
TOOL_NAME=systemc_3_test
# shellcheck source=/dev/null
. "$tree/tools/lib/common.sh"
root=$(cache_root)/systemc-3.0
if ! log=$("$tree/tools/debs" unpack --suite trixie --dest "$root" libsystemc-dev 2>&1); then
    printf '%s\nSKIP: SystemC 3.0 of Debian 13 cannot be had from here\n' "$log"
    [ -n "${CI:-}" ] && exit 1
    exit 77
fi
libraries=$root/usr/lib/x86_64-linux-gnu
if ! [ -e "$libraries/libsystemc.so" ]; then
    echo "SKIP: SystemC 3.0 is for x86-64 here"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
for file in integrations/systemc/adapter.cpp integrations/systemc/example/{accelerator,main}.cpp \
    src/lib/sim/socket/{polled_server,server_connection,socket_server}.cpp \
    src/lib/base/{event_loop,interrupt,log,private_files,stream,terminal_text,thread_bound,unix_socket}.cpp; do
    printf '#include "%s"\n' "$tree/$file"
done >"$work/all.cpp"
# The library wants symbols of Debian 13's C++ library, which is there when it runs.
"$compiler" -std=c++20 -O0 -DSC_CPLUSPLUS=201703L -DFMT_HEADER_ONLY -isystem "$root/usr/include" \
    -I"$tree" -I"$tree/src/lib" -I"$tree/src" "$work/all.cpp" -o "$work/accelerator" \
    "$libraries/libsystemc.so" -Wl,--allow-shlib-undefined -pthread
version=$("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:/usr/lib/x86_64-linux-gnu" "$work/accelerator" 2>&1 || true)
grep -q 'SystemC 3\.' <<<"$version" || { printf 'not SystemC 3:\n%s\n' "$version"; exit 1; }
export MIMIC_SYSTEMC_EXAMPLE="$libraries/ld-linux-x86-64.so.2 --library-path $libraries:/usr/lib/x86_64-linux-gnu $work/accelerator"
"$test"
