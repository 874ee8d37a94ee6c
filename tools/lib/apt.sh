# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# An apt of our own beside the system's: own state, cache, status file and source list below the cache folder, signatures
# checked against Debian's keyring, so that packages of other suites can be resolved and fetched without root and
# without the system noticing. Only the transport settings (proxy, timeouts) are taken over from the system.

APT_LISTS_MAX_AGE_S=21600 # Arbitrary: six hours; a vanished file forces a refresh earlier.

APT_ARCH=amd64 # Of the packages; whoever wants those of another architecture sets it before apt_configure.

# Writes the configuration for the suites given as arguments and sets APT_SUITES. Needs the lock "apt".
apt_configure() {
    local dir=$CACHE/apt uri keyring suite
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        die "this needs apt-get and dpkg-deb, which this system does not have" \
            "On another distribution install QEMU >= 10.1 yourself; then 'tools/debs qemu' uses that one."
    fi
    mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/etc" || fail_world "cannot create $dir"
    # Proxy and mirror settings may hold a password.
    chmod 700 "$dir"
    APT_SUITES=("$@")
    : >"$dir/status"
    # Hooks of the system (cleaning, notifying) and other index targets must not run here: take Acquire::* alone.
    apt-config dump 2>/dev/null | grep '^Acquire::' | grep -v '^Acquire::IndexTargets' >"$dir/apt.conf.new"
    cat >>"$dir/apt.conf.new" <<CONF || fail_world "cannot write $dir/apt.conf"
Dir::State "$dir";
Dir::State::lists "$dir/lists/";
Dir::State::status "$dir/status";
Dir::State::extended_states "$dir/extended_states";
Dir::Cache "$dir";
Dir::Cache::archives "$dir/archives/";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "$dir";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "$dir/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
APT::Architecture "$APT_ARCH";
APT::Architectures { "$APT_ARCH"; };
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::List-Cleanup "false";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Acquire::PDiffs "false";
Acquire::Retries "3";
Debug::NoLocking "true";
CONF
    mv -- "$dir/apt.conf.new" "$dir/apt.conf"
    mapfile -t APT_MIRRORS < <(find_mirrors)
    [ "${#APT_MIRRORS[@]}" -gt 0 ] || die "apt is not configured with a mirror of Debian's main archive" \
        "Looked at: $(source_files | tr '\n' ' ')" \
        "Add a 'deb' entry for Debian there (and install debian-archive-keyring), or set MIMIC_DEBIAN_URI to a mirror."
    apt_use_mirror 0
}

# Writes the source list for mirror number $1.
apt_use_mirror() {
    local uri keyring suite
    IFS=$'\t' read -r uri keyring <<<"${APT_MIRRORS[$1]}"
    [ -r "$keyring" ] || die "Debian's keyring $keyring is missing" "Install it: apt-get install debian-archive-keyring"
    for suite in "${APT_SUITES[@]}"; do
        printf 'deb [arch=%s signed-by=%s] %s %s main\n' "$APT_ARCH" "$keyring" "$uri" "$suite"
    done >"$CACHE/apt/etc/sources.list"
}

own_apt() { APT_CONFIG=$CACHE/apt/apt.conf LC_ALL=C apt-get -q -y "$@"; }
own_apt_cache() { APT_CONFIG=$CACHE/apt/apt.conf LC_ALL=C apt-cache -q "$@"; }

# Refreshes the package lists of the configured suites if they are old, or always if $1 is "force".
apt_refresh() {
    local stamp=$CACHE/apt/lists/.fresh-$APT_ARCH-${APT_SUITES[*]} age i
    stamp=${stamp// /+}
    age=$(($(date +%s) - $(stat -c %Y "$stamp" 2>/dev/null || echo 0)))
    [ "${1:-}" != force ] && [ "$age" -lt "$APT_LISTS_MAX_AGE_S" ] && return
    for i in "${!APT_MIRRORS[@]}"; do
        apt_use_mirror "$i"
        if run_step "reading the package lists of ${APT_SUITES[*]} for $APT_ARCH" own_apt update; then
            : >"$stamp"
            return
        fi
    done
    fail_world "cannot read the package lists of ${APT_SUITES[*]} (is the network up, does the mirror carry them?)" \
        "$STEP_LOG"
}

# Resolves packages with their dependencies into $SCRATCH.list as name=version lines; apt's own words are in
# $SCRATCH.resolve.
apt_resolve() {
    TEMPORARIES+=("$SCRATCH.resolve" "$SCRATCH.list")
    own_apt --no-install-recommends -t "${APT_SUITES[0]}" -s install "$@" >"$SCRATCH.resolve" 2>&1 || return 1
    # "Inst NAME (VERSION SUITE [ARCH])"
    sed -n 's/^Inst \([^ ]*\) .*(\([^ ]*\) .*/\1=\2/p' "$SCRATCH.resolve" >"$SCRATCH.list"
}

# Resolves, downloads and unpacks packages into folder $1; the rest are package names. The regular expressions UNPACK_KEEP
# and UNPACK_DROP choose among the resolved name=version lines. Sets UNPACKED to the lines chosen.
apt_unpack() {
    local dest=$1 chosen debs=$SCRATCH.debs try
    shift
    TEMPORARIES+=("$debs")
    apt_refresh
    # Lists that are some hours old may lack a new package or name a version that the mirror has replaced since, so a
    # failure gets one more try with fresh lists.
    for try in 1 2; do
        if ! apt_resolve "$@"; then
            [ "$try" = 1 ] && apt_refresh force && continue
            fail_world "cannot resolve '$*' in ${APT_SUITES[*]}: check the names of package and suite" "$SCRATCH.resolve"
        fi
        mapfile -t chosen < <(grep -E -- "${UNPACK_KEEP:-.}" "$SCRATCH.list" | grep -vE -- "${UNPACK_DROP:-^$}")
        [ "${#chosen[@]}" -gt 0 ] || fail_world "'$*' in ${APT_SUITES[*]} resolved to no package" "$SCRATCH.resolve"
        rm -rf -- "$debs"
        mkdir -p "$debs" "$dest" || fail_world "cannot create $debs"
        STEP_FOLDER=$debs run_step "downloading ${#chosen[@]} packages" apt_download "$debs" "${chosen[@]}" && break
        if [ "$try" = 2 ] || ! grep -q '404' "$STEP_LOG"; then
            fail_world "cannot download '$*'" "$STEP_LOG"
        fi
        apt_refresh force
    done
    run_step "unpacking ${#chosen[@]} packages ($(du -sm "$debs" | cut -f1) MiB)" unpack_debs "$dest" "$debs" ||
        fail_world "cannot unpack '$*'" "$STEP_LOG"
    rm -rf -- "$debs"
    # shellcheck disable=SC2034 # The caller records it.
    UNPACKED=$(printf '%s\n' "${chosen[@]}")
}

# apt verifies each file against the signed list while it downloads into the current folder.
apt_download() {
    local debs=$1
    shift
    cd "$debs" && own_apt download "$@"
}

unpack_debs() {
    local dest=$1 deb
    for deb in "$2"/*.deb; do
        dpkg-deb -x "$deb" "$dest" || return 1
        rm -f -- "$deb" # Frees the space at once: a kernel is large packed and unpacked.
    done
}
