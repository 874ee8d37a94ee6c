# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/debs qemu: a QEMU with the vfio-user-pci device (10.1 or newer). Takes the system's if it has the device, else
# unpacks that of trixie-backports into a private prefix, without touching the system. One prefix for each architecture of
# guests: whoever has none of riscv64 downloads nothing for them.

QEMU_RECIPE=qemu-1 # Raise the number when the content of the prefix changes.

# True if program $1 offers the device. Reading all of the output avoids a broken pipe being taken for "no".
has_vfio_user() { [ "$("$1" -device help 2>/dev/null | grep -c '"vfio-user-pci"')" -gt 0 ]; }

# cmd_qemu [ARCH]
cmd_qemu() {
    local system img recipe link
    [ $# -le 1 ] || die "'qemu' takes one architecture at most" "See tools/debs --help"
    use_arch "${1:-}"
    QEMU_PROGRAM=qemu-system-${GUEST_TRIPLET%%-*}
    recipe=$QEMU_RECIPE$ARCH_SUFFIX link=qemu$ARCH_SUFFIX
    if [ "${MIMIC_QEMU_PRIVATE:-0}" != 1 ] && system=$(command -v "$QEMU_PROGRAM") && has_vfio_user "$system"; then
        img=$(command -v qemu-img || true)
        use_system_qemu "$system" "$img" "$link"
    elif is_ready "$recipe"; then
        point_link "$recipe" "$link"
    else
        take_lock "$link"
        is_ready "$recipe" || build_qemu "$recipe" "$link"
        point_link "$recipe" "$link"
    fi
    printf '%s\n' "$CACHE/$link"
}

use_system_qemu() {
    local version link=$3 name=qemu-system$ARCH_SUFFIX
    version=$("$1" --version | sed -n '1s/^QEMU emulator version //p')
    if ! is_ready "$name" || [ "$(cat "$STORE/$name/VERSION")" != "$version" ] ||
        [ "$(readlink "$STORE/$name/$QEMU_PROGRAM")" != "$1" ]; then
        take_lock "$link"
        make_scratch "$link"
        ln -s -- "$1" "$SCRATCH/$QEMU_PROGRAM"
        [ -n "$2" ] && ln -s -- "$2" "$SCRATCH/qemu-img"
        printf '%s\n' "$version" >"$SCRATCH/VERSION"
        publish "$name" "$link"
    fi
    point_link "$name" "$link"
}

build_qemu() {
    local recipe=$1 link=$2 later=$STORE/$1 version modules system=qemu-system-x86
    local packages=(qemu-system-x86 qemu-utils)
    [ -z "$ARCH_SUFFIX" ] || system=qemu-system-riscv packages=(qemu-system-riscv opensbi)
    say "preparing a private $QEMU_PROGRAM (this system's has no vfio-user-pci); once, 40 to 60 MiB to download"
    need_mib 350 "QEMU"
    make_scratch "$link"
    take_lock apt
    # QEMU itself runs here, whatever its guests are.
    # shellcheck disable=SC2034 # Read by apt_configure.
    APT_ARCH=amd64
    apt_configure trixie-backports trixie
    # QEMU needs the libraries; what the packages need for their installation scripts is left out.
    local drop='debconf|base-passwd|passwd|login\.defs|adduser|libpam[^=]*|libsemanage[^=]*|libsepol2|libasound2-data'
    drop+='|libaudit-common|gcc-14-base|libdebconfclient0|libdb5\.3[^=]*'
    UNPACK_DROP="^($drop)=" \
        apt_unpack "$SCRATCH" "${packages[@]}"
    drop_lock
    strip_docs "$SCRATCH"
    rewrite_links "$SCRATCH" "$later"
    modules="export QEMU_MODULE_DIR='$later/usr/lib/x86_64-linux-gnu/qemu'
"
    write_wrapper "$SCRATCH/$QEMU_PROGRAM" "$SCRATCH" "$later" "usr/bin/$QEMU_PROGRAM" "$modules" \
        -L "$later/usr/share/qemu" -L "$later/usr/share/seabios" -L "$later/usr/lib/ipxe/qemu"
    [ ! -x "$SCRATCH/usr/bin/qemu-img" ] ||
        write_wrapper "$SCRATCH/qemu-img" "$SCRATCH" "$later" usr/bin/qemu-img "$modules"
    version=$(sed -n "s/^$system=//p" <<<"$UNPACKED")
    printf '%s (Debian %s)\n' "$(sed 's/^[0-9]*://; s/[+~-].*//' <<<"$version")" "$version" >"$SCRATCH/VERSION"
    printf '%s\n' "$UNPACKED" >"$SCRATCH/packages"
    publish "$recipe" "$link"
    # A prefix that cannot run must not count as finished.
    has_vfio_user "$CACHE/$link/$QEMU_PROGRAM" || {
        "$CACHE/$link/$QEMU_PROGRAM" -device help 2>&1 | tail -n 5 >&2
        rm -f -- "${later:?}/.complete"
        die "the unpacked QEMU does not run or lacks vfio-user-pci" "See the lines above; $later keeps the files."
    }
}
