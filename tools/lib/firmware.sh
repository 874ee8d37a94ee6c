# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/debs firmware: OVMF, the UEFI firmware that starts images with `firmware: uefi`. Two files, from Debian's ovmf.

FIRMWARE_RECIPE=firmware-1

cmd_firmware() {
    [ $# -eq 0 ] || die "'firmware' takes no argument" "See tools/debs --help"
    if ! is_ready "$FIRMWARE_RECIPE"; then
        take_lock firmware
        is_ready "$FIRMWARE_RECIPE" || build_firmware
    fi
    point_link "$FIRMWARE_RECIPE" firmware
    printf '%s\n' "$CACHE/firmware"
}

build_firmware() {
    local name
    say "preparing UEFI firmware; once, about 8 MiB to download"
    need_mib 60 "UEFI firmware"
    make_scratch firmware
    take_lock apt
    # shellcheck disable=SC2034 # Read by apt_configure.
    APT_ARCH=amd64
    apt_configure bookworm
    UNPACK_KEEP='^ovmf=' apt_unpack "$SCRATCH/all" ovmf
    drop_lock
    for name in OVMF_CODE_4M.fd OVMF_VARS_4M.fd; do
        cp -L -- "$SCRATCH/all/usr/share/OVMF/$name" "$SCRATCH/" || fail_world "ovmf has no $name"
    done
    printf '%s\n' "$UNPACKED" >"$SCRATCH/packages"
    rm -rf -- "$SCRATCH/all"
    publish "$FIRMWARE_RECIPE" firmware
}
