#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a small Debian 12 cloud image to test `image:` with, because none can be downloaded where this project is built:
# Debian's packages from the mirror that apt is configured with, cloud-init, OpenSSH and the guest agent, booted by GRUB
# from SeaBIOS. Prints the path of the qcow2, which lies in the cache below a name that depends on this script, so that
# a second run does nothing. Exit status 77: it cannot be made here (see the message).

set -uo pipefail
PATH=$PATH:/usr/sbin:/sbin # mke2fs; a plain user's PATH lacks these.
# shellcheck disable=SC2034 # Read by say() in lib/common.sh.
TOOL_NAME=make_image
self=$(readlink -f -- "${BASH_SOURCE[0]}")
tree=${self%/tests/vm/*}
umask 022
for part in common sources apt; do
    # shellcheck source=/dev/null
    . "$tree/tools/lib/$part.sh"
done

SUITE=bookworm
DISK_MIB=1400 # Sparse; room for what a test puts into the guest.
PACKAGES=systemd-sysv,udev,dbus,libpam-systemd,iproute2,openssh-server,cloud-init,sudo,kmod,pciutils
PACKAGES=$PACKAGES,qemu-guest-agent,linux-image-amd64,initramfs-tools,zstd

skip() {
    say "no test image: $1"
    exit 77
}

# mmdebstrap and GRUB without installing them. Sets TOOLS.
fetch_tools() {
    TOOLS=$SCRATCH/tools
    take_lock apt
    apt_configure "$SUITE"
    UNPACK_KEEP='^(mmdebstrap|grub-common|grub-pc-bin|libdevmapper1\.02\.1|libefi(boot|var)1)=' \
        apt_unpack "$TOOLS" mmdebstrap grub-pc-bin
    drop_lock
}

# Makes $SCRATCH/root.ext4.
make_root() {
    local root=$SCRATCH/root excluded=() folder
    for folder in sound drivers/{gpu,media,net/{ethernet,wireless,usb,can},staging,infiniband,iio,hwmon,isdn} \
        drivers/{scsi,usb,mtd,bluetooth,thunderbolt,target,md} net/{wireless,mac80211,bluetooth,can,sctp} \
        fs/{btrfs,xfs,ocfs2,gfs2,ceph,nfs,nfsd,smb,f2fs,jfs,reiserfs,afs,coda,ubifs,nilfs2,gfs2,dlm}; do
        excluded+=("--dpkgopt=path-exclude=/lib/modules/*/kernel/$folder/*")
    done
    for folder in doc man locale info; do excluded+=("--dpkgopt=path-exclude=/usr/share/$folder/*"); done
    # The system's transport settings (proxy, timeouts) for this run; they do not stay in the image.
    grep '^Acquire::' "$CACHE/apt/apt.conf" >"$SCRATCH/apt.conf"
    run_step "installing Debian into a tree" \
        perl "$TOOLS/usr/bin/mmdebstrap" --mode=root --variant=minbase --architectures=amd64 \
        --aptopt="$SCRATCH/apt.conf" "${excluded[@]}" --include="$PACKAGES" \
        "$SUITE" "$root" "$CACHE/apt/etc/sources.list" || fail_world "mmdebstrap failed" "$STEP_LOG"
    generalize "$root" || fail_world "cannot change the tree"
    truncate -s "$((DISK_MIB - 1))M" "$root.ext4"
    run_step "making the file system" \
        mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file -L cloudimg -d "$root" "$root.ext4" ||
        fail_world "mke2fs failed" "$STEP_LOG"
    rm -rf -- "$root"
}

# Turns the installed tree $1 into what a cloud image is before its first boot.
generalize() {
    local root=$1 file
    # Mirror and proxy may hold a password; the rest is of this machine.
    rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/ssh/ssh_host_* "$root"/etc/{hostname,resolv.conf}
    : >"$root/etc/apt/sources.list" && : >"$root/etc/machine-id" &&
        printf 'LABEL=cloudimg / ext4 defaults 0 1\n' >"$root/etc/fstab" &&
        ln -sf /lib/systemd/system/systemd-networkd.service "$root/etc/systemd/system/multi-user.target.wants/" &&
        # RSA keys take an emulated CPU long; a locale would need the package "locales".
        printf 'ssh_genkeytypes: [ed25519]\nlocale: false\n' >"$root/etc/cloud/cloud.cfg.d/50_test.cfg" || return 1
    for file in vmlinuz initrd.img; do
        ln -sf "$(cd "$root/boot" && echo "$file"-*)" "$root/boot/$file" || return 1
    done
}

# GRUB's first sector, its core in the gap after it, and one partition from 1 MiB on.
make_disk() {
    local disk=$SCRATCH/disk.raw grub=$TOOLS/usr/lib/grub/i386-pc
    cat >"$SCRATCH/grub.cfg" <<'CFG'
set root=(hd0,msdos1)
linux /boot/vmlinuz root=LABEL=cloudimg ro console=ttyS0
initrd /boot/initrd.img
boot
CFG
    LD_LIBRARY_PATH=$TOOLS/lib/x86_64-linux-gnu:$TOOLS/usr/lib/x86_64-linux-gnu \
        "$TOOLS/usr/bin/grub-mkimage" -d "$grub" -O i386-pc -p '(hd0,msdos1)/boot/grub' -c "$SCRATCH/grub.cfg" \
        -o "$SCRATCH/core.img" biosdisk part_msdos ext2 linux boot || fail_world "grub-mkimage failed"
    if ! truncate -s "${DISK_MIB}M" "$disk" ||
        ! dd if="$grub/boot.img" of="$disk" bs=446 count=1 conv=notrunc status=none ||
        ! dd if="$SCRATCH/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none ||
        ! dd if="$SCRATCH/root.ext4" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none; then
        fail_world "cannot write the disk"
    fi
    # The partition table by hand, which needs no program: active, Linux, start and number of sectors.
    {
        printf '\x80\xfe\xff\xff\x83\xfe\xff\xff'
        little_endian 2048
        little_endian $(((DISK_MIB - 1) * 2048))
    } | dd of="$disk" bs=1 seek=446 conv=notrunc status=none
    printf '\x55\xaa' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
}

# $1 as four bytes.
little_endian() {
    local i
    for i in 0 8 16 24; do
        # shellcheck disable=SC2059 # The format is the byte.
        printf "\\x$(printf %02x $((($1 >> i) & 255)))"
    done
}

main() {
    local name image qemu
    init_cache
    name=debian-12-$(sha256sum <"$self" | cut -c1-16).qcow2
    image=$CACHE/images-test/$name
    if [ ! -f "$image" ]; then
        [ "$(id -u)" = 0 ] || skip "installing Debian into a tree needs root"
        if ! command -v perl >/dev/null || ! command -v mke2fs >/dev/null; then skip "perl or mke2fs is missing"; fi
        qemu=$("$tree/tools/debs" qemu) || die "no QEMU"
        need_mib 4000 "the test image"
        take_lock images-test
        if [ ! -f "$image" ]; then
            make_scratch images-test
            fetch_tools
            make_root
            make_disk
            run_step "packing the image" "$qemu/qemu-img" convert -f raw -O qcow2 -c -o compression_type=zstd \
                "$SCRATCH/disk.raw" "$SCRATCH/disk.qcow2" || fail_world "qemu-img failed" "$STEP_LOG"
            rm -f "${image%/*}"/debian-12-*.qcow2 # Of older recipes.
            if ! mkdir -p "${image%/*}" || ! chmod 444 "$SCRATCH/disk.qcow2" ||
                ! mv -T -- "$SCRATCH/disk.qcow2" "$image"; then
                fail_world "cannot move the image into place"
            fi
        fi
    fi
    printf '%s\n' "$image"
}

main
