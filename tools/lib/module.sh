# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/debs module: builds an out-of-tree kernel module for one of our kernels in a scratch folder, so the source
# folder stays clean, and remembers the result by content: same sources, kernel and arguments mean no second build.

MODULE_RECIPE=2

cmd_module() {
    [ $# -ge 3 ] || die "'module' needs SERIES SRCDIR OUTDIR" "See tools/debs --help"
    local series=$1 source=$2 out=$3 key result ko
    shift 3
    [ -d "$source" ] || die "no folder $source"
    [ -f "$source/Makefile" ] || [ -f "$source/Kbuild" ] || die "$source holds neither Makefile nor Kbuild"
    [ $# -gt 0 ] || set -- modules
    ensure_kernel "$series"
    key=$(module_key "$CACHE/kernels/$series" "$source" "$@")
    result=$CACHE/modules/$key
    if [ ! -f "$result/.complete" ]; then
        [ -z "$ARCH_SUFFIX" ] || need_cross_compiler
        mkdir -p "$CACHE/modules" || fail_world "cannot create $CACHE/modules"
        take_lock "module-${key:0:16}"
        [ -f "$result/.complete" ] || build_module "$result" "$CACHE/kernels/$series" "$source" "$@"
    fi
    # Warnings are news each time, not only in the run that compiled.
    [ -s "$result/warnings" ] && cat "$result/warnings" >&2
    mkdir -p "$out" || die "cannot create $out"
    for ko in "$result"/*.ko; do
        [ -e "$ko" ] || continue # A target such as "clean" or a check builds none.
        # An unchanged file keeps its time stamp, so that what depends on it is not rebuilt.
        cmp -s -- "$ko" "$out/${ko##*/}" || { cp -- "$ko" "$out/.${ko##*/}.$$" && mv -- "$out/.${ko##*/}.$$" "$out/${ko##*/}"; } ||
            die "cannot write to $out"
    done
    printf '%s\n' "$out"
}

# A name for the result: a hash over everything that goes into it. Links are followed, as the build does.
module_key() {
    local kernel=$1 source=$2
    shift 2
    {
        printf '%s\n' "$MODULE_RECIPE" "$@"
        readlink -f -- "$kernel"
        cat "$kernel/release" "$kernel/make-args"
        cd "$source" && find -L . -type f ! -name '*.o' ! -name '*.ko' ! -name '*.mod*' ! -name '.*.cmd' -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum --
    } | sha256sum | cut -c1-40
}

build_module() {
    local result=$1 kernel=$2 source=$3 arguments
    shift 3
    mapfile -t arguments <"$kernel/make-args"
    make_scratch "module-${result##*/}"
    cp -rL -- "$source" "$SCRATCH/src" || fail_world "cannot copy $source"
    find "$SCRATCH/src" \( -name '*.o' -o -name '*.ko' -o -name '*.mod*' -o -name '.*.cmd' -o -name Module.symvers \) -delete
    # Make variables of an outer make must not leak into kbuild.
    if ! run_step "building $(basename "$(realpath -- "$source")") for $(cat "$kernel/release")" \
        env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u CFLAGS -u LDFLAGS -u ARCH -u CROSS_COMPILE LC_ALL=C \
        make -C "$(readlink -f -- "$kernel/build")" M="$SCRATCH/src" KDIR="$kernel/build" W=1 \
        -j"$(nproc)" "${arguments[@]}" "$@"; then
        sed "s#$SCRATCH/src/#$source/#g" "$STEP_LOG" >&2
        case $(free_mib "$CACHE") in
            [0-9] | 1[0-5]) fail_world "cannot build $source" ;;
            *) die "the kernel module in $source does not build for $(cat "$kernel/release"); see above" ;;
        esac
    fi
    mkdir -p "$SCRATCH/out" || fail_world "cannot create a folder"
    find "$SCRATCH/src" -name '*.ko' -exec cp -- {} "$SCRATCH/out/" \; || fail_world "cannot copy the module"
    sed "s#$SCRATCH/src/#$source/#g" "$STEP_LOG" | grep -A3 -E 'warning:|WARNING:' |
        grep -vE '^  [A-Z]+ ' >"$SCRATCH/out/warnings"
    : >"$SCRATCH/out/.complete"
    [ ! -e "$result" ] || rm -rf -- "${result:?}"
    mv -T -- "$SCRATCH/out" "$result" || fail_world "cannot keep the module"
}
