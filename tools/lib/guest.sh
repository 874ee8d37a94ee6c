# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/debs guest: the files of a small root file system for an initramfs: static busybox, QEMU's guest agent, lspci, setpci and
# exactly the shared libraries that these name. What Debian's dependencies add for installation (perl, dpkg) is left out.

GUEST_RECIPE=guest-2
GUEST_PROGRAMS=(bin/busybox usr/sbin/qemu-ga usr/bin/lspci usr/bin/setpci)

cmd_guest() {
    if ! is_ready "$GUEST_RECIPE"; then
        take_lock guest
        is_ready "$GUEST_RECIPE" || build_guest
    fi
    point_link "$GUEST_RECIPE" guest
    printf '%s\n' "$CACHE/guest"
}

build_guest() {
    local all program
    say "preparing the guest's programs; once, about 20 MiB to download"
    need_mib 150 "the guest"
    make_scratch guest
    all=$SCRATCH/all
    take_lock apt
    apt_configure bookworm
    UNPACK_DROP='^(perl[^=]*|libperl[^=]*|lib[a-z-]*-perl|dpkg|tar|usrmerge|init-system-helpers|gcc-12-base|libgdbm[^=]*|libdb5\.3)=' \
        apt_unpack "$all" busybox-static qemu-guest-agent pciutils
    drop_lock
    mkdir -p "$SCRATCH/root"/{bin,sbin,dev,proc,sys,run,tmp,etc,var,root,usr/bin,usr/sbin,usr/share/misc,lib64}
    chmod 1777 "$SCRATCH/root/tmp"
    ln -s ../run "$SCRATCH/root/var/run" # qemu-ga keeps its pid and state below /var/run.
    copy_programs "$all" "$SCRATCH/root" "${GUEST_PROGRAMS[@]}"
    cp -L -- "$all/usr/share/misc/pci.ids" "$SCRATCH/root/usr/share/misc/" || fail_world "cannot copy pci.ids"
    printf '%s\n' "$UNPACKED" >"$SCRATCH/packages"
    rm -rf -- "$all"
    for program in "${GUEST_PROGRAMS[@]}"; do
        [ -x "$SCRATCH/root/$program" ] || die "the guest's $program is missing after unpacking"
    done
    publish "$GUEST_RECIPE" guest
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
