#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests of tools/debs and tools/setup without a network: source files in all their forms, and a small signed archive made
# here from which packages are fetched twice, by two runs at once, with interruptions, wrong keys and a full disk.
# Prints one line per failure and "N passed, N failed, N skipped"; exits 1 if any failed.

set -uo pipefail
tools=$(cd "$(dirname -- "$(readlink -f -- "$0")")" && pwd)
# shellcheck source=/dev/null
. "$tools/lib/common.sh"
# shellcheck source=/dev/null
. "$tools/lib/sources.sh"
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
passed=0 failed=0 skipped=0

# same WHAT EXPECTED ACTUAL
same() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n  expected: %s\n  actual:   %s\n' "$1" "${2//$'\n'/ | }" "${3//$'\n'/ | }"
    fi
}
# holds WHAT COMMAND...
holds() {
    local what=$1
    shift
    if "$@"; then same "$what" ok ok; else same "$what" ok "not: $*"; fi
}
skip() {
    skipped=$((skipped + 1))
    printf 'SKIP %s: %s\n' "$1" "$2"
}
has() { grep -qF -- "$1" "$2"; }

# --- source files ------------------------------------------------------------------------------------------------
etc=$work/etc
mkdir -p "$etc/sources.list.d"
chosen() { MIMIC_APT_ETC=$etc find_mirrors | cut -f1; }
one_line() {
    rm -f "$etc"/sources.list.d/*
    printf '%s\n' "$@" >"$etc/sources.list"
    chosen
}
deb822() {
    rm -f "$etc"/sources.list "$etc"/sources.list.d/*
    cat >"$etc/sources.list.d/x.sources"
    chosen
}

same 'one line' http://m.example/debian "$(one_line 'deb http://m.example/debian bookworm main contrib')"
same 'trailing slash and comment' http://m.example/debian \
    "$(one_line '# deb http://no.example/debian bookworm main' 'deb http://m.example/debian/ bookworm main # why')"
same 'options in brackets' http://m.example/debian \
    "$(one_line 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64,i386] http://m.example/debian bookworm main')"
same 'blanks in brackets' http://m.example/debian \
    "$(one_line $'deb\t[ arch=amd64  trusted=no ]\thttp://m.example/debian   bookworm   main')"
same 'other architecture' '' "$(one_line 'deb [arch=arm64] http://m.example/debian bookworm main')"
same 'source entry alone' '' "$(one_line 'deb-src http://m.example/debian bookworm main')"
same 'no main' '' "$(one_line 'deb http://m.example/debian bookworm contrib non-free')"
same 'third party by suite' '' \
    "$(one_line 'deb https://v.example/apt cloud-sdk-bookworm main' 'deb https://v.example/pg bookworm-pgdg main')"
same 'third party by key' '' "$(one_line 'deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://v.example bookworm main')"
same 'third party by component' '' "$(one_line 'deb https://v.example/linux/debian bookworm stable')"
same 'security archive is no mirror' '' "$(one_line 'deb http://m.example/debian-security bookworm-security main')"
same 'keyless third party goes last' $'http://m.example/debian\nhttps://v.example' \
    "$(one_line 'deb https://v.example bookworm main' 'deb http://m.example/debian bookworm main')"
same 'mirror list' mirror+file:/etc/apt/mirrors/debian.list \
    "$(one_line 'deb mirror+file:/etc/apt/mirrors/debian.list bookworm main')"
same 'no newline at the end' http://m.example/debian \
    "$(printf 'deb http://m.example/debian bookworm main' >"$etc/sources.list"; chosen)"

same 'deb822 with two URIs and suites' $'http://a.example/debian\nhttp://b.example/debian' "$(deb822 <<'TEXT'
# A comment first.
Types: deb deb-src
# http://no.example/debian
URIs: http://a.example/debian
 http://b.example/debian/
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
TEXT
)"
same 'deb822 disabled, other architecture, sources, foreign key' http://ok.example/debian "$(deb822 <<'TEXT'
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: http://arm.example/debian
Suites: bookworm
Components: main
Architectures: arm64

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://vendor.example/node_20.x
Suites: nodistro
Components: main
Signed-By: /usr/share/keyrings/nodesource.gpg

types: deb
uris: http://ok.example/debian
suites: trixie
components: contrib main
enabled: yes
TEXT
)"
same 'deb822 with a key in the entry' http://m.example/debian "$(deb822 <<'TEXT'
Types: deb
URIs: http://m.example/debian
Suites: stable
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJKwYBBAHaRw8BAQdAD/P5Nvvnvk66SxBBHDbhRml9ORg1WV5CvzKY
 -----END PGP PUBLIC KEY BLOCK-----
TEXT
)"
rm -f "$etc/sources.list.d/x.sources"
printf 'deb http://m.example/debian bookworm main\n' >"$etc/sources.list.d/x.list.disabled"
same 'files that apt ignores' '' "$(chosen)"

# --- the cache folder --------------------------------------------------------------------------------------------
same 'MIMIC_CACHE' /x/y "$(MIMIC_CACHE=/x/y/ cache_root)"
same 'relative MIMIC_CACHE' "$PWD/y" "$(MIMIC_CACHE=y cache_root)"
same 'XDG_CACHE_HOME' /x/mimic "$(MIMIC_CACHE='' XDG_CACHE_HOME=/x cache_root)"
same 'HOME' /h/.cache/mimic "$(unset MIMIC_CACHE XDG_CACHE_HOME; HOME=/h cache_root)"
holds 'no HOME' test -n "$(unset MIMIC_CACHE XDG_CACHE_HOME HOME; cache_root)"

export MIMIC_CACHE=$work/cache
unset MIMIC_DEBIAN_URI MIMIC_DEBIAN_KEYRING
debs() { "$tools/debs" "$@" 2>"$work/err"; }
MIMIC_CACHE="$work/a b" debs guest >/dev/null && same 'blank in the path' refused accepted
holds 'blank in the path is explained' has 'holds a blank' "$work/err"
debs nonsense >/dev/null && same 'unknown command' refused accepted
holds 'unknown command is explained' has "unknown command 'nonsense'" "$work/err"
debs kernel 9.9 >/dev/null && same 'unknown series' refused accepted
holds 'unknown series is explained' has '6.1, 6.12, 7.2' "$work/err"
debs qemu sparc >/dev/null && same 'unknown architecture' refused accepted
holds 'unknown architecture is explained' has "unknown architecture 'sparc'" "$work/err"
printf '' >"$etc/sources.list"
MIMIC_APT_ETC=$etc debs guest >/dev/null && same 'no mirror' refused accepted
holds 'no mirror is explained' has 'not configured with a mirror' "$work/err"

mkdir -m 0777 "$work/open"
chmod 0777 "$work/open"
MIMIC_CACHE=$work/open debs guest >/dev/null && same 'cache that everybody may fill' refused accepted
holds 'cache that everybody may fill is explained' has 'everybody may replace' "$work/err"
if [ "$(id -u)" = 0 ]; then
    mkdir "$work/theirs"
    chown 65534 "$work/theirs"
    MIMIC_CACHE=$work/theirs debs guest >/dev/null && same 'cache of another user' refused accepted
    holds 'cache of another user is explained' has 'belongs to user 65534' "$work/err"
fi

# Finished folders are used without apt: a PATH whose apt-get fails proves it.
mkdir -p "$work/bin" "$work/store"
printf '#!/bin/sh\necho called >>%s/apt-called\nexit 1\n' "$work" >"$work/bin/apt-get"
chmod +x "$work/bin/apt-get"
cp "$work/bin/apt-get" "$work/bin/apt-cache"
ready() { ( . "$tools/lib/qemu.sh"; . "$tools/lib/guest.sh"; . "$tools/lib/kernel.sh"
    printf '%s\n' "$QEMU_RECIPE" "$GUEST_RECIPE" "kernel-6.1-$KERNEL_RECIPE" "kernel-newest-$KERNEL_RECIPE" \
        "$QEMU_RECIPE-riscv64" "$GUEST_RECIPE-riscv64" "kernel-6.12-riscv64-$KERNEL_RECIPE"); }
for name in $(ready); do
    mkdir -p "$MIMIC_CACHE/store/$name"
    : >"$MIMIC_CACHE/store/$name/.complete"
done
offline() { PATH=$work/bin:$PATH MIMIC_QEMU_PRIVATE=1 debs "$@"; }
start=$(date +%s%N)
same 'finished qemu' "$MIMIC_CACHE/qemu" "$(offline qemu)"
same 'finished guest' "$MIMIC_CACHE/guest" "$(offline guest)"
same 'finished kernel' "$MIMIC_CACHE/kernels/6.1" "$(offline kernel 6.1)"
same 'finished newest kernel' "$MIMIC_CACHE/kernels/7.2" "$(offline kernel 7.2)"
holds 'both names of the newest kernel' test -d "$MIMIC_CACHE/kernels/newest"
took=$((($(date +%s%N) - start) / 1000000))
holds "four finished folders in under 1 s (took $took ms)" test "$took" -lt 1000
same 'finished qemu of riscv64' "$MIMIC_CACHE/qemu-riscv64" "$(offline qemu riscv64)"
same 'finished guest of riscv64' "$MIMIC_CACHE/guest-riscv64" "$(offline guest riscv64)"
same 'finished kernel of riscv64' "$MIMIC_CACHE/kernels/6.12-riscv64" "$(offline kernel 6.12-riscv64)"
holds 'apt was not called' test ! -e "$work/apt-called"
rm -f "$MIMIC_CACHE/store/kernel-6.1"*/.complete
offline kernel 6.1 >/dev/null && same 'an unfinished folder' refused accepted
holds 'an unfinished folder is built again' test -e "$work/apt-called"

# --- programs that this machine cannot run ------------------------------------------------------------------------
# shellcheck source=/dev/null
. "$tools/lib/arch.sh"
mkdir -p "$work/foreign/usr/lib/x86_64-linux-gnu" "$work/foreign/usr/bin"
# A table of texts as busybox has it, behind another one.
printf 'x\0[[\0\0junk [\0[[\0ar\0sh\0zcat\0\0more\0' >"$work/foreign/usr/bin/box"
same 'applets of a busybox' ar,sh,zcat "$(applets_of_busybox "$work/foreign/usr/bin/box" | paste -sd,)"
use_arch
for library in libc.so.6 ld-linux-x86-64.so.2; do cp -L "/lib/x86_64-linux-gnu/$library" "$work/foreign/usr/lib/x86_64-linux-gnu/"; done
cp /bin/true "$work/foreign/usr/bin/"
(copy_foreign_programs "$work/foreign" "$work/foreign-root" bin/true=bin/true:usr/bin/true)
same 'a program, its libraries and its loader' \
    'bin/true lib64/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu/libc.so.6' \
    "$(cd "$work/foreign-root" && find . -type f -printf '%P\n' | LC_ALL=C sort | paste -sd' ')"
(copy_foreign_programs "$work/foreign" "$work/none-root" bin/none=bin/none) 2>"$work/err" && same 'no such program' refused accepted
holds 'no such program is explained' has 'holds bin/none' "$work/err"

# --- a system's QEMU ---------------------------------------------------------------------------------------------
cat >"$work/bin/qemu-system-x86_64" <<'TEXT'
#!/bin/sh
case $1 in
--version) echo 'QEMU emulator version 10.1.0 (test)' ;;
*) echo 'name "vfio-user-pci", bus PCI' ;;
esac
TEXT
chmod +x "$work/bin/qemu-system-x86_64"
same 'the system has vfio-user-pci' "$MIMIC_CACHE/qemu" "$(PATH=$work/bin:$PATH debs qemu)"
same 'its program is linked' "$work/bin/qemu-system-x86_64" "$(readlink "$MIMIC_CACHE/qemu/qemu-system-x86_64")"
same 'its version' '10.1.0 (test)' "$(cat "$MIMIC_CACHE/qemu/VERSION")"

# --- a signed archive --------------------------------------------------------------------------------------------
# make_deb NAME VERSION DEPENDS: a package with one file, and its entry in Packages.
make_deb() {
    local root=$work/build/$1 file=pool/$1_$2_amd64.deb
    mkdir -p "$root/DEBIAN" "$root/usr/share/mimic-test" "$repo/pool"
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: Test <test@example.invalid>\nDescription: test\n' \
        "$1" "$2" >"$root/DEBIAN/control"
    [ -z "$3" ] || printf 'Depends: %s\n' "$3" >>"$root/DEBIAN/control"
    [ -n "${4:-}" ] && head -c "$4" /dev/urandom >"$root/usr/share/mimic-test/$1.data"
    printf '%s %s\n' "$1" "$2" >"$root/usr/share/mimic-test/$1"
    dpkg-deb --root-owner-group -Znone -b "$root" "$repo/$file" >/dev/null
    {
        cat "$root/DEBIAN/control"
        printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$repo/$file")" \
            "$(sha256sum "$repo/$file" | cut -d' ' -f1)"
    } >>"$repo/$list"
}
sign_release() {
    local dists=$repo/dists/teststable
    {
        printf 'Origin: Debian\nSuite: teststable\nCodename: teststable\nComponents: main\nArchitectures: amd64\n'
        printf 'Date: %s\nSHA256:\n' "$(LC_ALL=C date -uR | sed 's/+0000/UTC/')"
        printf ' %s %s main/binary-amd64/Packages\n' "$(sha256sum "$repo/$list" | cut -d' ' -f1)" \
            "$(stat -c %s "$repo/$list")"
    } >"$dists/Release"
    gpg --homedir "$work/gpg" --batch --yes -q --clearsign -o "$dists/InRelease" "$dists/Release" 2>/dev/null
}
# True once process $1 has ended; one that init has not yet collected counts as ended.
gone() {
    for _ in $(seq 40); do
        grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null || return 0
        sleep 0.05
    done
    return 1
}

if ! command -v gpg >/dev/null || ! command -v apt-get >/dev/null; then
    skip 'signed archive (22 checks)' 'gpg or apt is not installed; tools/setup test installs it'
else
    repo=$work/repo list=dists/teststable/main/binary-amd64/Packages
    mkdir -p "$repo/dists/teststable/main/binary-amd64"
    mkdir -m 700 "$work/gpg"
    # A user id only says whose key it is; nothing is sent anywhere.
    gpg --homedir "$work/gpg" --batch -q --passphrase '' --quick-gen-key 'test@example.invalid' ed25519 sign 2>/dev/null
    gpg --homedir "$work/gpg" --batch -q --export >"$work/key.gpg" 2>/dev/null
    make_deb mimic-lib 1.0-1 ''
    make_deb mimic-app 2.0-1 'mimic-lib (>= 1.0)'
    make_deb mimic-broken 1.0-1 'mimic-absent'
    make_deb mimic-large 1.0-1 '' 3000000
    sign_release
    chmod -R a+rX "$repo"
    export MIMIC_CACHE=$work/cache2 MIMIC_DEBIAN_URI=file:$repo MIMIC_DEBIAN_KEYRING=$work/key.gpg
    unpack() { debs unpack --suite teststable --dest "$@"; }
    tmp_left() { find "$MIMIC_CACHE/tmp" -mindepth 1; }

    same 'unpack' "$work/out" "$(unpack "$work/out" mimic-app)"
    holds 'the package is there' test -f "$work/out/usr/share/mimic-test/mimic-app"
    holds 'its dependency is there' test -f "$work/out/usr/share/mimic-test/mimic-lib"
    same 'nothing temporary is left' '' "$(tmp_left)"
    rm -f "$work/apt-called"
    same 'the second run' "$work/out" "$(PATH=$work/bin:$PATH unpack "$work/out" mimic-app)"
    holds 'the second run does not call apt' test ! -e "$work/apt-called"

    unpack "$work/none" mimic-nonexistent >/dev/null && same 'unknown package' refused accepted
    holds 'unknown package is explained' has 'Unable to locate package mimic-nonexistent' "$work/err"
    holds 'no folder for it' test ! -e "$work/none"
    unpack "$work/none" mimic-broken >/dev/null && same 'unmet dependency' refused accepted
    holds 'unmet dependency is explained' has 'mimic-absent' "$work/err"
    debs unpack --suite nosuite --dest "$work/none" mimic-app >/dev/null && same 'unknown suite' refused accepted
    holds 'unknown suite is explained' has 'cannot read the package lists of nosuite' "$work/err"
    mkdir -p "$work/mine" && : >"$work/mine/file"
    unpack "$work/mine" mimic-app >/dev/null && same "somebody's folder" refused accepted
    holds "somebody's folder is kept" test -f "$work/mine/file"

    # A terminated run removes its half and its children; a killed one is cleared away by the next.
    # A dpkg-deb that says who it is and hangs.
    printf '#!/bin/sh\necho $$ >%s/hung.new && mv %s/hung.new %s/hung\nexec sleep 30\n' "$work" "$work" "$work" \
        >"$work/bin/dpkg-deb"
    chmod +x "$work/bin/dpkg-deb"
    rm -f "$work/bin/apt-get" "$work/bin/apt-cache"
    for signal in TERM KILL; do
        rm -f "$work/hung"
        PATH=$work/bin:$PATH "$tools/debs" unpack --suite teststable --dest "$work/cut" mimic-app >/dev/null 2>&1 &
        pid=$!
        for _ in $(seq 200); do [ -e "$work/hung" ] && break; sleep 0.05; done
        kill "-$signal" "$pid"
        wait "$pid" 2>/dev/null
        holds "$signal: no half folder" test ! -e "$work/cut"
        if [ "$signal" = TERM ]; then
            holds 'TERM: no child is left' gone "$(cat "$work/hung")"
            same 'TERM: no temporary file is left' '' "$(tmp_left)"
        else
            kill "$(cat "$work/hung")"
        fi
    done
    same 'the run after a killed one' "$work/cut" "$(unpack "$work/cut" mimic-app)"
    holds 'is complete' test -f "$work/cut/usr/share/mimic-test/mimic-lib"
    same 'the killed one left nothing' '' "$(tmp_left)"

    "$tools/debs" unpack --suite teststable --dest "$work/two" mimic-app >"$work/1" 2>&1 &
    pid=$!
    debs unpack --suite teststable --dest "$work/two2" mimic-app >"$work/2"
    wait "$pid"
    same 'two runs at once' "$work/two | $work/two2" "$(tail -n1 "$work/1") | $(cat "$work/2")"

    mkdir "$work/small"
    # shellcheck disable=SC2016 # Expanded inside.
    inside='mount -t tmpfs -o size=4m none "$1" && MIMIC_CACHE=$1 "$2" unpack --suite teststable --dest "$1/out" mimic-large
        status=$?; [ -z "$(ls -A "$1/tmp")" ] && [ ! -e "$1/out" ] && echo clean; exit $status'
    # Root needs no user namespace, and a container may forbid one.
    namespace=-m
    unshare -m true 2>/dev/null || namespace=-rm
    if unshare "$namespace" true 2>/dev/null; then
        result=$(unshare "$namespace" sh -c "$inside" sh "$work/small" "$tools/debs" 2>"$work/err") &&
            same 'full disk' refused accepted
        holds 'full disk is explained' has 'is full' "$work/err"
        same 'full disk leaves nothing' clean "$result"
    else
        skip 'full disk (2 checks)' 'needs a mount namespace, which this user may not have'
    fi

    # A changed list and a changed package must both be refused.
    rm -rf "$MIMIC_CACHE" "$work/out"
    printf '\n' >>"$repo/$list"
    unpack "$work/out" mimic-app >/dev/null && same 'tampered list' refused accepted
    holds 'tampered list leaves nothing' test ! -e "$work/out"
    sign_release
    printf 'x' >>"$repo/pool/mimic-lib_1.0-1_amd64.deb"
    unpack "$work/out" mimic-app >/dev/null && same 'tampered package' refused accepted
    holds 'tampered package leaves nothing' test ! -e "$work/out"
    rm -rf "$MIMIC_CACHE"
    MIMIC_DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg unpack "$work/out" mimic-app >/dev/null &&
        same 'foreign signature' refused accepted
    holds 'foreign signature is explained' has "cannot read the package lists" "$work/err"
    unset MIMIC_DEBIAN_URI MIMIC_DEBIAN_KEYRING
fi

# --- setup -------------------------------------------------------------------------------------------------------
"$tools/setup" >/dev/null 2>"$work/err"
same 'setup without argument' 2 $?
"$tools/setup" nonsense >/dev/null 2>"$work/err"
holds 'setup with an unknown argument' has "unknown argument 'nonsense'" "$work/err"
mkdir "$work/empty"
for program in bash readlink id sed grep; do ln -s "$(command -v "$program")" "$work/empty/"; done
PATH=$work/empty "$tools/setup" build >/dev/null 2>"$work/err"
holds 'setup on another system' has 'not a Debian system' "$work/err"
printf '#!/bin/sh\necho installed cmake\n' >"$work/bin/dpkg-query"
printf '#!/bin/sh\n' >"$work/bin/apt-get"
chmod +x "$work/bin/dpkg-query" "$work/bin/apt-get"
missing=$(PATH=$work/bin:$PATH "$tools/setup" --check build)
same 'setup --check fails if something is missing' 1 $?
same 'setup --check lists it' 'git,ninja-build,g++' \
    "$(grep -xE 'git|cmake|ninja-build|g\+\+' <<<"$missing" | paste -sd,)"

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
