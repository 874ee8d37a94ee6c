# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/debs qemu: a QEMU with the vfio-user-pci device (10.1 or newer). Takes the system's if it has the device, else
# unpacks that of trixie-backports into a private prefix, without touching the system.

QEMU_RECIPE=qemu-1 # Raise the number when the content of the prefix changes.

# True if program $1 offers the device. Reading all of the output avoids a broken pipe being taken for "no".
has_vfio_user() { [ "$("$1" -device help 2>/dev/null | grep -c '"vfio-user-pci"')" -gt 0 ]; }

cmd_qemu() {
    local system img
    if [ "${MIMIC_QEMU_PRIVATE:-0}" != 1 ] && system=$(command -v qemu-system-x86_64) && has_vfio_user "$system"; then
        img=$(command -v qemu-img || true)
        use_system_qemu "$system" "$img"
    elif is_ready "$QEMU_RECIPE"; then
        point_link "$QEMU_RECIPE" qemu
    else
        take_lock qemu
        is_ready "$QEMU_RECIPE" || build_qemu
        point_link "$QEMU_RECIPE" qemu
    fi
    printf '%s\n' "$CACHE/qemu"
}

use_system_qemu() {
    local version name=qemu-system
    version=$("$1" --version | sed -n '1s/^QEMU emulator version //p')
    if ! is_ready "$name" || [ "$(cat "$STORE/$name/VERSION")" != "$version" ] ||
        [ "$(readlink "$STORE/$name/qemu-system-x86_64")" != "$1" ]; then
        take_lock qemu
        make_scratch qemu
        ln -s -- "$1" "$SCRATCH/qemu-system-x86_64"
        [ -n "$2" ] && ln -s -- "$2" "$SCRATCH/qemu-img"
        printf '%s\n' "$version" >"$SCRATCH/VERSION"
        publish "$name" qemu
    fi
    point_link "$name" qemu
}

build_qemu() {
    local later=$STORE/$QEMU_RECIPE version modules
    say "preparing a private QEMU (this system's has no vfio-user-pci); once, about 60 MiB to download"
    need_mib 350 "QEMU"
    make_scratch qemu
    take_lock apt
    apt_configure trixie-backports trixie
    # QEMU needs the libraries; what the packages need for their installation scripts is left out.
    local drop='debconf|base-passwd|passwd|login\.defs|adduser|libpam[^=]*|libsemanage[^=]*|libsepol2|libasound2-data'
    drop+='|libaudit-common|gcc-14-base|libdebconfclient0|libdb5\.3[^=]*'
    UNPACK_DROP="^($drop)=" \
        apt_unpack "$SCRATCH" qemu-system-x86 qemu-utils
    drop_lock
    strip_docs "$SCRATCH"
    rewrite_links "$SCRATCH" "$later"
    modules="export QEMU_MODULE_DIR='$later/usr/lib/x86_64-linux-gnu/qemu'
"
    write_wrapper "$SCRATCH/qemu-system-x86_64" "$SCRATCH" "$later" usr/bin/qemu-system-x86_64 "$modules" \
        -L "$later/usr/share/qemu" -L "$later/usr/share/seabios" -L "$later/usr/lib/ipxe/qemu"
    write_wrapper "$SCRATCH/qemu-img" "$SCRATCH" "$later" usr/bin/qemu-img "$modules"
    version=$(sed -n 's/^qemu-system-x86=//p' <<<"$UNPACKED")
    printf '%s (Debian %s)\n' "$(sed 's/^[0-9]*://; s/[+~-].*//' <<<"$version")" "$version" >"$SCRATCH/VERSION"
    printf '%s\n' "$UNPACKED" >"$SCRATCH/packages"
    publish "$QEMU_RECIPE" qemu
    # A prefix that cannot run must not count as finished.
    has_vfio_user "$CACHE/qemu/qemu-system-x86_64" || {
        "$CACHE/qemu/qemu-system-x86_64" -device help 2>&1 | tail -n 5 >&2
        rm -f -- "${later:?}/.complete"
        die "the unpacked QEMU does not run or lacks vfio-user-pci" "See the lines above; $later keeps the files."
    }
}
