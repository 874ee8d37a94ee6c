#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make_uefi_image.sh KERNEL INITRD OUT.qcow2: a disk that UEFI boots: a FAT file system with GRUB as EFI/BOOT/BOOTX64.EFI,
# which starts KERNEL with INITRD. Debian's packages, unpacked into a private folder; no right is needed.

set -uo pipefail
# shellcheck disable=SC2034 # Read by say() in lib/common.sh.
TOOL_NAME=make_uefi_image
self=$(readlink -f -- "${BASH_SOURCE[0]}")
tree=${self%/tests/vm/*}
umask 022
for part in common sources apt; do
    # shellcheck source=/dev/null
    . "$tree/tools/lib/$part.sh"
done

main() {
    local kernel=$1 initrd=$2 out=$3 tools libraries grub size qemu
    init_cache
    qemu=$("$tree/tools/debs" qemu) || die "no QEMU"
    make_scratch uefi-image
    tools=$SCRATCH/tools
    take_lock apt
    apt_configure bookworm
    UNPACK_KEEP='^(grub-common|grub-efi-amd64-bin|mtools|libdevmapper1\.02\.1|libefi(boot|var)1)=' \
        apt_unpack "$tools" grub-common grub-efi-amd64-bin mtools
    drop_lock
    libraries=$tools/lib/x86_64-linux-gnu:$tools/usr/lib/x86_64-linux-gnu
    grub=$tools/usr/lib/grub/x86_64-efi
    cat >"$SCRATCH/grub.cfg" <<'CFG'
search --file --set=root /vmlinuz
linux /vmlinuz console=ttyS0 panic=-1 iomem=relaxed mimic.hostname=uefi
initrd /initrd
boot
CFG
    LD_LIBRARY_PATH=$libraries "$tools/usr/bin/grub-mkimage" -d "$grub" -O x86_64-efi -p /boot/grub -c "$SCRATCH/grub.cfg" \
        -o "$SCRATCH/BOOTX64.EFI" part_msdos fat search search_fs_file linux boot || fail_world "grub-mkimage failed"
    size=$(cat -- "$kernel" "$initrd" "$SCRATCH/BOOTX64.EFI" | wc -c)
    truncate -s "$(((size >> 20) + 48))M" "$SCRATCH/disk.raw" || fail_world "cannot make the disk"
    local mtools=(env MTOOLS_SKIP_CHECK=1 "LD_LIBRARY_PATH=$libraries" "$tools/usr/bin/mtools" -c)
    if ! "${mtools[@]}" mformat -i "$SCRATCH/disk.raw" -F :: ||
        ! "${mtools[@]}" mmd -i "$SCRATCH/disk.raw" ::/EFI ::/EFI/BOOT ||
        ! "${mtools[@]}" mcopy -i "$SCRATCH/disk.raw" "$SCRATCH/BOOTX64.EFI" ::/EFI/BOOT/BOOTX64.EFI ||
        ! "${mtools[@]}" mcopy -i "$SCRATCH/disk.raw" "$kernel" ::/vmlinuz ||
        ! "${mtools[@]}" mcopy -i "$SCRATCH/disk.raw" "$initrd" ::/initrd; then
        fail_world "cannot fill the disk"
    fi
    "$qemu/qemu-img" convert -f raw -O qcow2 "$SCRATCH/disk.raw" "$out" || fail_world "qemu-img failed"
}

[ $# -eq 3 ] || { printf 'usage: make_uefi_image.sh KERNEL INITRD OUT.qcow2\n' >&2; exit 2; }
main "$@"
