# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What guests of another architecture than this machine's need: names of Debian, of QEMU and of the compiler, and programs
# whose libraries are found without running them.

# Sets what the architecture $1 (empty: that of this machine, amd64) is called by whom. Ends the run for an unknown one.
# shellcheck disable=SC2034 # Read by the other files.
use_arch() {
    case ${1:-amd64} in
        amd64) APT_ARCH=amd64 GUEST_TRIPLET=x86_64-linux-gnu ARCH_SUFFIX='' ;;
        riscv64) APT_ARCH=riscv64 GUEST_TRIPLET=riscv64-linux-gnu ARCH_SUFFIX=-riscv64 ;;
        *) die "unknown architecture '$1'" "Known: riscv64; without one, packages are those of amd64" ;;
    esac
}

# Ends the run unless the compiler for riscv64 is here.
need_cross_compiler() {
    command -v riscv64-linux-gnu-gcc-12 >/dev/null ||
        die "the compiler for riscv64 is missing (riscv64-linux-gnu-gcc-12)" "Install it: tools/setup riscv64"
}

# Copies programs and the libraries that they need, of any architecture. $1: from; $2: to; then pairs of the program's place
# there and its possible places in $1, separated by ':'. Nothing of them is run: readelf says what they name.
copy_foreign_programs() {
    local from=$1 to=$2 place candidates candidate found file loader
    shift 2
    local -a todo=()
    for candidates in "$@"; do
        place=${candidates%%=*} found=
        IFS=: read -ra candidates <<<"${candidates#*=}"
        for candidate in "${candidates[@]}"; do
            [ -z "$found" ] && [ -f "$from/$candidate" ] && found=$candidate
        done
        [ -n "$found" ] || die "none of the guest's packages holds $place"
        install -D -m 755 -- "$from/$found" "$to/$place" || fail_world "cannot copy $place"
        todo+=("$from/$found")
    done
    while [ "${#todo[@]}" -gt 0 ]; do
        file=${todo[0]}
        todo=("${todo[@]:1}")
        loader=$(LC_ALL=C readelf -Wl -- "$file" 2>/dev/null | sed -n 's/.*program interpreter: \/*\(.*\)]/\1/p')
        while IFS= read -r found; do
            copy_foreign_library "$from" "$to" "$found"
        done < <(LC_ALL=C readelf -Wd -- "$file" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
        [ -z "$loader" ] || [ -e "$to/$loader" ] ||
            install -D -m 755 -- "$(find_foreign_library "$from" "${loader##*/}")" "$to/$loader" ||
            fail_world "cannot copy the loader"
    done
}

# Prints the file that library $2 is below $1.
find_foreign_library() {
    local dir
    for dir in "usr/lib/$GUEST_TRIPLET" "lib/$GUEST_TRIPLET" usr/lib lib; do
        [ -f "$1/$dir/$2" ] || continue
        readlink -f -- "$1/$dir/$2"
        return
    done
    die "no guest package holds $2"
}

# Copies library $3 from $1 to $2 unless it is there, and asks copy_foreign_programs (whose `todo` this is) for its own needs.
copy_foreign_library() {
    local library
    [ -e "$2/usr/lib/$GUEST_TRIPLET/$3" ] && return
    library=$(find_foreign_library "$1" "$3") || exit 1
    install -D -m 755 -- "$library" "$2/usr/lib/$GUEST_TRIPLET/$3" || fail_world "cannot copy $3"
    todo+=("$library")
}

# Prints the names of the applets in busybox $1, which this machine cannot run: they are one table of texts in it.
applets_of_busybox() { tr '\0' '\n' <"$1" | LC_ALL=C sed -n '/^\[\[$/,/^$/p' | LC_ALL=C grep -xE '[a-z0-9._+-]+'; }
