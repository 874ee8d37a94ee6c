#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD CONSUMER [FLAGS]: installs BUILD into a fresh prefix, moves that prefix, and builds and runs the program
# in the folder CONSUMER against it twice: through find_package(mimic) and through pkg-config. A consumer has a
# CMakeLists.txt that makes the program that its file `program` names, and compiles from its *.cpp files alone. Run
# without arguments, or with those in the consumer's file `arguments`, it exits 0.
# FLAGS: compiler flags that the libraries need, such as those of the sanitizers that BUILD was made with.
set -euo pipefail

build=$(readlink -f -- "$1")
consumer=$(readlink -f -- "$2")
flags=${3:-}
cxx=${CXX:-c++}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mimic-install.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

fail() { printf 'install test: %s\n' "$*" >&2; exit 1; }

name=$(cat "$consumer/program")
arguments=()
[ ! -f "$consumer/arguments" ] || read -ra arguments <"$consumer/arguments"

cmake --install "$build" --prefix "$scratch/first" >"$scratch/log" 2>&1 ||
    { cat "$scratch/log"; fail "cmake --install failed"; }
# No installed file may depend on where it was installed to, on the source or on the build.
mv "$scratch/first" "$scratch/prefix"
prefix=$scratch/prefix

pc=$(find "$prefix" -name mimic.pc)
[ -n "$pc" ] || fail "there is no mimic.pc"
export PKG_CONFIG_PATH=${pc%/*}
! grep -rlF "$build" "$prefix" --include='*.cmake' --include='*.pc' --include='*.h' ||
    fail "these name the build folder"

echo "--- every public header compiles alone"
include=$prefix/include/mimic
read -ra cflags < <(pkg-config --cflags mimic)
read -ra libs < <(pkg-config --libs mimic)
# shellcheck disable=SC2206 # Flags are separate words.
flag_words=($flags)
find "$include" -name '*.h' ! -name '*_test.h' -printf '#include "%P"\n' | sort >"$scratch/headers"
while read -r line; do
    printf '%s\n%s\nint main() {}\n' "$line" "$line" >"$scratch/header.cpp"
    "$cxx" -std=c++20 -Wall -Wextra -Werror -fsyntax-only "${cflags[@]}" "$scratch/header.cpp" ||
        fail "$line does not compile"
done <"$scratch/headers"
printf '%d headers\n' "$(wc -l <"$scratch/headers")"

echo "--- find_package(mimic)"
build_by_cmake() {
    cmake -S "$consumer" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CXX_FLAGS="$flags" || return
    cmake --build "$scratch/cmake"
}
build_by_cmake >"$scratch/log" 2>&1 || { cat "$scratch/log"; fail "the CMake consumer does not build"; }
"$scratch/cmake/$name" "${arguments[@]}"

echo "--- pkg-config mimic"
"$cxx" -std=c++20 "${flag_words[@]}" "${cflags[@]}" -I"$consumer" "$consumer"/*.cpp -o "$scratch/consumer" "${libs[@]}"
"$scratch/consumer" "${arguments[@]}"

echo "--- programs and data"
for program in "$prefix"/bin/*; do
    [ -x "$program" ] || continue
    printf '%s: ' "${program##*/}"
    "$program" --version
done
"$prefix/libexec/mimic/debs" --help >/dev/null || fail "the installed debs does not run"
[ -z "$(find "$prefix/share" -name '*.ko' -o -name '*.o' -o -name '*.mod.c')" ] || fail "build results lie in share/"
echo "passed"
