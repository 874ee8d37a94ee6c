#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD CONSUMER [FLAGS]: installs BUILD into a fresh prefix, moves that prefix, and builds and runs the program
# in the folder CONSUMER against it twice: through find_package(mimic) and through pkg-config. A consumer, whose page is CONSUMER.md, has a
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
# shellcheck disable=SC2206 # Flags are separate words.
flag_words=($flags)
number=0
find "$include" -name '*.h' ! -name '*_test.h' -printf '#include "%P"\n' | sort >"$scratch/headers"
while read -r line; do
    number=$((number + 1))
    printf '%s\n%s\nint main() {}\n' "$line" "$line" >"$scratch/header-$number.cpp"
done <"$scratch/headers"
find "$scratch" -name 'header-*.cpp' -print0 | xargs -0 -n 1 -P "$(nproc)" \
    "$cxx" -std=c++20 -Wall -Wextra -Werror -fsyntax-only "${cflags[@]}" || fail "a header does not compile alone"
printf '%d headers\n' "$(wc -l <"$scratch/headers")"

echo "--- find_package(mimic)"
build_by_cmake() {
    cmake -S "$consumer" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CXX_FLAGS="$flags" || return
    cmake --build "$scratch/cmake"
}
build_by_cmake >"$scratch/log" 2>&1 || { cat "$scratch/log"; fail "the CMake consumer does not build"; }
"$scratch/cmake/$name" "${arguments[@]}"

echo "--- an option is no name of a file"
mkdir "$scratch/empty"
(
    cd "$scratch/empty"
    "$scratch/cmake/$name" --help || fail "$name --help failed"
    for option in --no-such -x ""; do
        status=0
        timeout 20 "$scratch/cmake/$name" "$option" || status=$?
        [ $status = 2 ] || fail "$name '$option' ended with $status"
    done
    [ -z "$(ls -A)" ] || fail "$name made $(ls -A)"
)

echo "--- pkg-config mimic-host"
read -ra host_libs < <(pkg-config --cflags --libs mimic-host)
"$cxx" -std=c++20 "${flag_words[@]}" -I"$consumer" "$consumer"/*.cpp -o "$scratch/consumer" "${host_libs[@]}"
"$scratch/consumer" "${arguments[@]}"

# The commands of docs/add-a-device.md that ask the control socket of a program outside this tree.
echo "--- registers, a fault, a trace and metrics of $name"
mkdir "$scratch/adder"
sed -n '/<!-- run: tests\/install\/run.sh -->/,/^```$/p' "$consumer.md" | grep -v -e '^<!--' -e '^```' |
    sed -e "s#/tmp/adder/$name#$scratch/consumer#" -e "s#/tmp/adder/#$scratch/adder/#g" >"$scratch/adder/commands"
[ -s "$scratch/adder/commands" ] || fail "$consumer.md has no commands for this test"
timeout 120 bash -euo pipefail -m "$scratch/adder/commands" >"$scratch/adder/out" ||
    { cat "$scratch/adder/out"; fail "the commands of $consumer.md fail"; }
for wanted in '"SOURCE"' '"enabled": *true' 'dma-fail' '"kind": *"fault' '^mimic_'; do
    grep -Eq -- "$wanted" "$scratch/adder/out" || { cat "$scratch/adder/out"; fail "nothing like $wanted is in this"; }
done

echo "--- the virtio device: find_package(mimic)"
"$scratch/cmake/virtio-$name" --version
# A file of its own: "Serving on" of a server before would let the signal come before the exec, and bash's child then runs this
# script's EXIT trap.
served=$scratch/adder/virtio.out
: >"$served"
"$scratch/cmake/virtio-$name" "$scratch/adder/virtio" >"$served" 2>&1 &
virtio_server=$!
until grep -q '^Serving on' "$served"; do
    kill -0 $virtio_server 2>/dev/null || { cat "$served"; fail "virtio-$name does not serve"; }
    sleep 0.1
done
kill $virtio_server
wait $virtio_server || { cat "$served"; fail "virtio-$name ended with an error"; }

# The test of the device, with the installed slot, memory and time.
if pkg-config --exists gtest_main; then
    echo "--- the unit test of $name"
    mapfile -t units < <(find "$consumer" -maxdepth 1 -name '*.cpp' ! -name main.cpp)
    read -ra test_flags < <(pkg-config --cflags --libs mimic gtest_main)
    "$cxx" -std=c++20 "${flag_words[@]}" -I"$consumer" "$consumer"/test/*.cpp "${units[@]}" -o "$scratch/unit_test" \
        "${test_flags[@]}"
    "$scratch/unit_test"
    "$cxx" -std=c++20 "${flag_words[@]}" -I"$consumer/virtio" "$consumer"/virtio/test/*.cpp \
        "$consumer"/virtio/virtio_adder.cpp -o "$scratch/virtio_unit_test" "${test_flags[@]}"
    "$scratch/virtio_unit_test"
else
    echo "SKIP: the unit test of $name: pkg-config knows no gtest_main"
fi

# A test that `mimic replay --to-test` wrote, from a recording of a driver, with nothing but what is installed.
if [ -x "$prefix/bin/mimic" ]; then
    echo "--- a recorded test: pkg-config mimic-replay"
    recording=$(readlink -f -- "$(dirname -- "$0")/../replay/driver_session.jsonl")
    mkdir "$scratch/replay"
    (cd "$scratch/replay" && "$prefix/bin/mimic" replay "$recording" --to-test driver_session)
    read -ra replay_flags < <(pkg-config --cflags --libs mimic-replay gtest_main)
    "$cxx" -std=c++20 "${flag_words[@]}" "$scratch/replay/driver_session_test.cpp" -o "$scratch/replay/by_pkg_config" \
        "${replay_flags[@]}"
    "$scratch/replay/by_pkg_config"

    echo "--- a recorded test: find_package(mimic COMPONENTS replay)"
    cat >"$scratch/replay/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(recorded LANGUAGES CXX)
find_package(mimic REQUIRED COMPONENTS replay)
find_package(GTest REQUIRED)
add_executable(by_cmake driver_session_test.cpp)
target_link_libraries(by_cmake PRIVATE mimic::replay GTest::gtest_main)
END
    recorded_by_cmake() {
        cmake -S "$scratch/replay" -B "$scratch/replay/cmake" -DCMAKE_PREFIX_PATH="$prefix" \
            -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CXX_FLAGS="$flags" || return
        cmake --build "$scratch/replay/cmake"
    }
    recorded_by_cmake >"$scratch/log" 2>&1 || { cat "$scratch/log"; fail "the recorded test does not build"; }
    "$scratch/replay/cmake/by_cmake"
fi

echo "--- programs and data"
for page in clone.md schema/mimic-v1.schema.json openapi/control-v1.json; do
    [ -n "$(find "$prefix/share/doc" -path "*/docs/$page")" ] || fail "docs/$page is not installed"
done
for program in "$prefix"/bin/*; do
    [ -x "$program" ] || continue
    printf '%s: ' "${program##*/}"
    "$program" --version
done
"$prefix/libexec/mimic/debs" --help >/dev/null || fail "the installed debs does not run"
lost=$(find "$prefix" -xtype l)
[ -z "$lost" ] || fail "these links lead nowhere: $lost"
[ -s "$prefix/share/man/man1/mimic-up.1" ] || fail "there are no manual pages"
[ -z "$(find "$prefix/share" -name '*.ko' -o -name '*.o' -o -name '*.mod.c')" ] || fail "build results lie in share/"
echo "passed"
