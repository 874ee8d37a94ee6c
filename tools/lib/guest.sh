# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/debs guest: the files of a small root file system for an initramfs: static busybox, QEMU's guest agent, lspci, setpci and
# exactly the shared libraries that these name. What Debian's dependencies add for installation (perl, dpkg) is left out.

GUEST_RECIPE=guest-2
GUEST_PROGRAMS=(bin/busybox usr/sbin/qemu-ga usr/bin/lspci usr/bin/setpci)

# cmd_guest [ARCH]
cmd_guest() {
    local recipe link
    [ $# -le 1 ] || die "'guest' takes one architecture at most" "See tools/debs --help"
    use_arch "${1:-}"
    recipe=$GUEST_RECIPE$ARCH_SUFFIX link=guest$ARCH_SUFFIX
    if ! is_ready "$recipe"; then
        take_lock "$link"
        is_ready "$recipe" || build_guest "$recipe" "$link"
    fi
    point_link "$recipe" "$link"
    printf '%s\n' "$CACHE/$link"
}

build_guest() {
    local all program suite=bookworm
    [ -z "$ARCH_SUFFIX" ] || suite=trixie # riscv64 is in no older one
    say "preparing the guest's programs; once, about 20 MiB to download"
    need_mib 150 "the guest"
    make_scratch "$2"
    all=$SCRATCH/all
    take_lock apt
    apt_configure "$suite"
    UNPACK_DROP='^(perl[^=]*|libperl[^=]*|lib[a-z-]*-perl|dpkg|tar|usrmerge|init-system-helpers|gcc-12-base|libgdbm[^=]*|libdb5\.3)=' \
        apt_unpack "$all" busybox-static qemu-guest-agent pciutils
    drop_lock
    mkdir -p "$SCRATCH/root"/{bin,sbin,dev,proc,sys,run,tmp,etc,var,root,usr/bin,usr/sbin,usr/share/misc,lib64}
    chmod 1777 "$SCRATCH/root/tmp"
    ln -s ../run "$SCRATCH/root/var/run" # qemu-ga keeps its pid and state below /var/run.
    if [ -z "$ARCH_SUFFIX" ]; then
        copy_programs "$all" "$SCRATCH/root" "${GUEST_PROGRAMS[@]}"
    else
        rmdir "$SCRATCH/root/lib64"
        copy_foreign_programs "$all" "$SCRATCH/root" bin/busybox=usr/bin/busybox:bin/busybox \
            usr/sbin/qemu-ga=usr/sbin/qemu-ga:usr/bin/qemu-ga usr/bin/lspci=usr/bin/lspci usr/bin/setpci=usr/bin/setpci
        applets_of_busybox "$SCRATCH/root/bin/busybox" >"$SCRATCH/applets"
        for program in sh mount insmod switch_root; do
            grep -qx "$program" "$SCRATCH/applets" || die "the guest's busybox shows no applet $program"
        done
    fi
    cp -L -- "$all/usr/share/misc/pci.ids" "$SCRATCH/root/usr/share/misc/" || fail_world "cannot copy pci.ids"
    printf '%s\n' "$UNPACKED" >"$SCRATCH/packages"
    rm -rf -- "$all"
    for program in "${GUEST_PROGRAMS[@]}"; do
        [ -x "$SCRATCH/root/$program" ] || die "the guest's $program is missing after unpacking"
    done
    publish "$1" "$2"
}

# Copies programs and, found with the tree's own loader, the libraries they need. $1: from; $2: to; then programs.
copy_programs() {
    local from=$1 to=$2 program loader path library
    shift 2
    loader=$(prefix_loader "$from") || exit 1
    loader=$from/$loader
    path=$(prefix_library_path "$from" "$from")
    for program in "$@"; do
        install -D -m 755 -- "$from/$program" "$to/$program" || fail_world "cannot copy $program"
        is_dynamic_program "$from/$program" || continue
        while IFS= read -r library; do
            case $library in
                "$from"/*) ;;
                *) die "$program needs $library, which none of the guest's packages holds" ;;
            esac
            [ -e "$to/${library#"$from"/}" ] && continue
            install -D -m 755 -- "$(readlink -f "$library")" "$to/${library#"$from"/}" ||
                fail_world "cannot copy $library"
        done < <("$loader" --library-path "$path" --list "$from/$program" |
            sed -n 's/.* => \([^ ]*\) (0x.*/\1/p; s/.* => not found/not-found/p' | grep -v 'ld-linux')
    done
    # The path that every program names.
    install -D -m 755 -- "$(readlink -f "$loader")" "$to/lib64/ld-linux-x86-64.so.2" || fail_world "cannot copy the loader"
}
