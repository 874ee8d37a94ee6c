# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/debs kernel: Debian's stock kernel of a series with its modules and a build tree (KDIR) that needs nothing in
# /usr/src. A series from a newer suite brings that suite's compiler along, and its build tools (modpost, objtool) are
# wrapped, because they ask for a newer glibc than this system has. One of another architecture is built for with the system's
# cross compiler and the build tools of the same version for this machine.

KERNEL_RECIPE=2 # Raise when the content of the folders changes.

# Sets SERIES (canonical name), KERNEL_SUITES and the architecture for the name that the user gave.
kernel_suites() {
    use_arch
    case ${1:-} in
        6.1) SERIES=6.1 KERNEL_SUITES=(bookworm) ;;
        6.12) SERIES=6.12 KERNEL_SUITES=(bookworm-backports bookworm) ;;
        7.2 | newest) SERIES=newest KERNEL_SUITES=(trixie-backports trixie) ;;
        # riscv64 is in no older suite, and the index of trixie-backports for it did not match its signature.
        6.12-riscv64) SERIES=6.12-riscv64 KERNEL_SUITES=(trixie); use_arch riscv64 ;;
        *) die "unknown kernel series '${1:-}'" "Known: 6.1, 6.12, 7.2 (or 'newest'), 6.12-riscv64" ;;
    esac
}

# Makes cache/kernels/$1 available without printing anything.
ensure_kernel() {
    local name
    kernel_suites "$1"
    name=kernel-$SERIES-$KERNEL_RECIPE
    if ! is_ready "$name"; then
        take_lock "kernel-$SERIES"
        is_ready "$name" || build_kernel "$name" "$1"
    fi
    point_link "$name" "kernels/$1"
    # Both names of the newest kernel move together, or one would keep an old folder alive.
    if [ "$SERIES" = newest ]; then
        point_link "$name" kernels/newest
        point_link "$name" kernels/7.2
    fi
}

cmd_kernel() {
    [ $# -eq 1 ] || die "'kernel' takes one series" "See tools/debs --help"
    ensure_kernel "$1"
    printf '%s\n' "$CACHE/kernels/$1"
}

build_kernel() {
    local name=$1 later=$STORE/$1 tree packages=("linux-image-$APT_ARCH" "linux-headers-$APT_ARCH")
    local keep='^linux-(image|binary|modules|headers|kbuild|base)-[0-9]'
    local need=1000
    [ "$SERIES" = newest ] && need=1800
    [ -z "$ARCH_SUFFIX" ] || keep='^linux-(image|binary|modules|headers|base)-[0-9]'
    say "preparing kernel $2 of ${KERNEL_SUITES[0]}; once, 100 to 200 MiB to download"
    need_mib "$need" "kernel $2"
    command -v depmod >/dev/null || die "depmod is missing" "Install it: tools/setup build (or apt-get install kmod)"
    command -v xz >/dev/null || die "xz is missing" "Install it: tools/setup build (or apt-get install xz-utils)"
    make_scratch "kernel-$SERIES"
    tree=$SCRATCH/tree
    take_lock apt
    apt_configure "${KERNEL_SUITES[@]}"
    if [ "$SERIES" = newest ]; then
        # The compiler, binutils and every library that the resolver brings for them and for kbuild's programs.
        keep="$keep|^(gcc-[0-9]+|cpp-[0-9]+|binutils)|^lib|^zlib1g="
    fi
    UNPACK_KEEP=$keep UNPACK_DROP='^(lib(perl|pam|systemd|kmod|cryptsetup|argon|devmapper|klibc)|gcc-[0-9]+-base)' \
        apt_unpack "$tree" "${packages[@]}"
    printf '%s\n' "$UNPACKED" >"$SCRATCH/packages"
    [ -z "$ARCH_SUFFIX" ] || unpack_build_tools "$tree"
    drop_lock
    kernel_image "$tree"
    kernel_modules "$tree"
    kernel_build_tree "$tree" "$later"
    publish "$name" "kernels/$2"
}

# The build tools of this machine's architecture in the version of the headers in tree $1, with the libraries that they need.
unpack_build_tools() {
    local tree=$1 kbuild
    kbuild=$(sed -n 's/^linux-headers-\([0-9.]*+[a-z0-9]*\)-common=.*/linux-kbuild-\1/p' "$SCRATCH/packages")
    [ -n "$kbuild" ] || die "the packages do not say which build tools they need"
    APT_ARCH=amd64
    apt_configure "${KERNEL_SUITES[@]}"
    UNPACK_KEEP="^${kbuild//+/[+]}=|^lib|^zlib1g=" UNPACK_DROP='^(lib(perl|pam|systemd)|gcc-[0-9]+-base)' apt_unpack "$tree" "$kbuild"
    printf '%s\n' "$UNPACKED" >>"$SCRATCH/packages"
}

# vmlinuz and release.
kernel_image() {
    local image
    image=$(find "$1/boot" "$1/usr/lib" -name 'vmlinu[xz]*' -type f 2>/dev/null | head -n 1)
    [ -n "$image" ] || die "the packages hold no kernel image"
    mv -- "$image" "$SCRATCH/vmlinuz" || fail_world "cannot move the kernel image"
    image=$(find "$1/lib/modules" "$1/usr/lib/modules" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | head -n 1)
    [ -n "$image" ] || die "the packages hold no modules"
    KERNEL_RELEASE=${image##*/}
    printf '%s\n' "$KERNEL_RELEASE" >"$SCRATCH/release"
    find "$1/boot" -name 'config-*' -exec cp -- {} "$SCRATCH/config" \; 2>/dev/null
    rm -rf -- "${1:?}/boot"
}

# modules/, uncompressed: busybox and an initramfs builder then need to know one format only.
kernel_modules() {
    local from=$1/lib/modules/$KERNEL_RELEASE base=$SCRATCH/depmod
    [ -d "$from/kernel" ] || from=$1/usr/lib/modules/$KERNEL_RELEASE
    rm -f -- "$from/build" "$from/source"
    mkdir -p "$base/lib/modules"
    mv -- "$from" "$base/lib/modules/" || fail_world "cannot move the modules"
    from=$base/lib/modules/$KERNEL_RELEASE
    [ -z "$ARCH_SUFFIX" ] || drop_hardware_modules "$from/kernel"
    run_step "unpacking the modules of $KERNEL_RELEASE" decompress_modules "$from" ||
        fail_world "cannot unpack the kernel modules" "$STEP_LOG"
    run_step "listing the modules of $KERNEL_RELEASE" depmod -b "$base" "$KERNEL_RELEASE" ||
        fail_world "depmod failed" "$STEP_LOG"
    mv -- "$from" "$SCRATCH/modules" || fail_world "cannot move the modules"
    rm -rf -- "$base"
    [ -s "$SCRATCH/modules/modules.dep" ] || fail_world "depmod wrote no modules.dep"
}

# Leaves out drivers for hardware that QEMU's virt machine of another architecture cannot have: three quarters of the disk and
# of the time that unpacking takes.
drop_hardware_modules() {
    local dir
    for dir in gpu media net/ethernet net/wireless net/phy staging iio hwmon input usb scsi infiniband bluetooth mtd mmc isdn \
        power leds video platform; do
        rm -rf -- "${1:?}/drivers/$dir"
    done
    rm -rf -- "${1:?}/sound"
}

decompress_modules() {
    find "$1" -name '*.ko.xz' -print0 | xargs -0 -r -n 64 -P "$(nproc)" xz -d -- &&
        find "$1" -name '*.ko.zst' -print0 | xargs -0 -r -n 64 -P "$(nproc)" zstd -q -d --rm --
}

# build and make-args: rewrites the absolute paths in the headers, wraps what needs another glibc.
kernel_build_tree() {
    local tree=$1 later=$2 file headers=usr/src/linux-headers-$KERNEL_RELEASE
    [ -f "$tree/$headers/Makefile" ] || die "the packages hold no build tree for $KERNEL_RELEASE"
    # Only make files and their kin are read during a build; the other hits are prose in comments.
    while IFS= read -r file; do
        sed -i "s#/usr/src/linux-#$later/tree/usr/src/linux-#g; s#/usr/lib/linux-kbuild#$later/tree/usr/lib/linux-kbuild#g" \
            "$file" || fail_world "cannot rewrite $file"
    done < <(find "$tree/usr/src" "$tree"/usr/lib/linux-kbuild-* -maxdepth 2 -type f \
        \( -name 'Makefile*' -o -name '*.mk' -o -name '.kernelvariables' \) -exec grep -lE '/usr/(src/linux-|lib/linux-kbuild)' {} +)
    rewrite_links "$tree" "$later/tree" usr/src
    strip_docs "$tree"
    # BTF of a module needs pahole in a matching version and serves only BPF programs. These are make variables alone:
    # the C side keeps the kernel's configuration, so the layout of its structures stays the same.
    printf '%s\n' CONFIG_DEBUG_INFO_BTF_MODULES= CONFIG_PAHOLE_VERSION=0 >"$SCRATCH/make-args"
    if [ "$SERIES" = newest ]; then
        wrap_toolchain "$tree" "$later/tree"
    elif [ -n "$ARCH_SUFFIX" ]; then
        for file in "$tree"/usr/lib/linux-kbuild-*; do wrap_programs "$tree" "$later/tree" "${file#"$tree"/}"; done
        # What the headers name as compiler is a newer one than Debian 12 has for riscv64.
        printf '%s\n' ARCH=riscv CROSS_COMPILE=riscv64-linux-gnu- CC=riscv64-linux-gnu-gcc-12 >>"$SCRATCH/make-args"
    else
        # The linker and friends are the system's; so is the compiler that the headers name.
        file=$(sed -n 's/^CC = .*(CROSS_COMPILE)\([a-z0-9-]*\)$/\1/p' "$tree/$headers/.kernelvariables")
        [ -z "$file" ] || printf 'CC=%s\n' "$file" >>"$SCRATCH/make-args"
    fi
    ln -s -- "$later/tree/$headers" "$SCRATCH/build"
}

# The compiler and the kbuild programs of the kernel's own suite, as wrappers, and make variables that name them.
wrap_toolchain() {
    local now=$1 later=$2 kbuild gcc tool bin=usr/bin
    for kbuild in "$now"/usr/lib/linux-kbuild-*; do wrap_programs "$now" "$later" "${kbuild#"$now"/}"; done
    wrap_programs "$now" "$later" "$bin"
    wrap_programs "$now" "$later" usr/libexec/gcc
    gcc=$(find "$now/$bin" -name 'x86_64-linux-gnu-gcc-[0-9]*' ! -name '*.elf' -printf '%f\n' | head -n 1)
    [ -n "$gcc" ] || die "the packages hold no compiler for $KERNEL_RELEASE"
    # gcc starts "as" and "ld" by these names; -B makes it look here before the system's folders.
    mkdir -p "$now/tools"
    for tool in as ld ld.bfd ar nm objcopy objdump readelf strip ranlib; do
        [ -e "$now/$bin/x86_64-linux-gnu-$tool" ] && ln -s -- "../$bin/x86_64-linux-gnu-$tool" "$now/tools/$tool"
    done
    cat >"$now/tools/gcc" <<WRAPPER
#!/bin/sh
# Generated by Mimic's tools/debs: the compiler of the kernel's own suite with its own assembler and linker.
exec '$later/$bin/$gcc' -B'$later/tools/' "\$@"
WRAPPER
    chmod 755 "$now/tools/gcc"
    {
        printf 'CC=%s\n' "$later/tools/gcc"
        for tool in ld ar nm objcopy objdump readelf strip; do
            printf '%s=%s\n' "${tool^^}" "$later/tools/$tool"
        done
    } >>"$SCRATCH/make-args"
}
