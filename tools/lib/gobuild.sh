# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds programs from Go modules of tests/cluster and keeps them by content: the same sources, modules, flags and Go
# mean no second build. Only the programs are kept; Go's own caches are where `go env` says. Sourced by tools/kube.

GO_RECIPE=1

# The oldest Go that the modules' go.mod files accept.
GO_NEEDED=1.26

# Sets GO_VERSION. Go is no package of Debian 12 in that version, so tools/setup cannot bring it.
need_go() {
    local minor
    command -v go >/dev/null || die "there is no 'go' in PATH; the tests on a Kubernetes cluster need Go $GO_NEEDED or newer" \
        "Debian 12 has an older one. Unpack a newer one and put its bin folder into PATH."
    # A newer toolchain is not fetched behind the user's back.
    export GOTOOLCHAIN=local GOWORK=off
    # Without a home Go has no place for its caches.
    if [ -z "${HOME:-}${XDG_CACHE_HOME:-}" ]; then export GOCACHE=${GOCACHE:-$CACHE/go/build}; fi
    if [ -z "${HOME:-}${GOPATH:-}" ]; then export GOPATH=$CACHE/go; fi
    GO_VERSION=$(go env GOVERSION) || die "'go env' fails"
    minor=${GO_VERSION#go1.}
    minor=${minor%%[!0-9]*}
    [ "${minor:-0}" -ge "${GO_NEEDED#1.}" ] || die "$GO_VERSION is too old; the tests on a Kubernetes cluster need Go $GO_NEEDED or newer"
}

# Prints the key of a build. $1: folder of the module; $2: folders below it whose sources count, one a line; the rest: flags.
go_key() {
    local module=$1 folders=$2
    shift 2
    {
        printf '%s\n' "$GO_RECIPE" "$GO_VERSION" "$@"
        # cgo's result depends on the compiler and the libraries that it links.
        case " $* " in *' CGO_ENABLED=1 '*) gcc -dumpfullversion; cat /usr/lib/*/pkgconfig/libseccomp.pc ;; esac
        cd "$module" && sha256sum -- go.mod go.sum
        while IFS= read -r folder; do
            find "$folder" -maxdepth 1 \( -name '*.go' -o -name '*.yaml' \) -print0 | LC_ALL=C sort -z | xargs -0r sha256sum --
        done <<<"$folders"
    } 2>/dev/null | sha256sum | cut -c1-40
}

# Builds into $SCRATCH/NAME. $1: module folder; $2: name of the program; then KEY=VALUE of the environment, `--`, and the
# command that follows `go`, in which @OUT@ stands for the program.
go_build() {
    local module=$1 name=$2 environment=() arguments=()
    shift 2
    while [ "$1" != -- ]; do environment+=("$1"); shift; done
    shift
    for argument in "$@"; do arguments+=("${argument//@OUT@/$SCRATCH/$name}"); done
    local start=$SECONDS
    if ! STEP_FOLDER='' run_step "building $name with $GO_VERSION" env -C "$module" -u MAKEFLAGS -u MAKELEVEL \
        GOFLAGS='-mod=readonly -buildvcs=false' "${environment[@]}" go "${arguments[@]}"; then
        grep -qE 'proxyconnect|dial tcp|no such host|connection refused' "$STEP_LOG" &&
            say "Go modules come through the proxy that 'go env GOPROXY' names; it cannot be reached"
        fail_world "cannot build $name" "$STEP_LOG"
    fi
    [ -x "$SCRATCH/$name" ] || fail_world "the build of $name left no program"
    say "built $name in $((SECONDS - start)) s, $(du -m -- "$SCRATCH/$name" | cut -f1) MiB"
}

# Makes $CACHE/cluster/$1 if it is not there, by calling build_$1 in a scratch folder, and prints it. $2: key.
go_folder() {
    local part=$1 key=$2 result
    result=$CACHE/cluster/$part-$key
    if [ ! -f "$result/.complete" ]; then
        mkdir -p "$CACHE/cluster" || fail_world "cannot create $CACHE/cluster"
        # One build of this part at a time: two at once need twice the memory and win nothing.
        take_lock "cluster-$part"
        if [ ! -f "$result/.complete" ]; then
            make_scratch "cluster-$part"
            "build_$part"
            : >"$SCRATCH/.complete" || fail_world "cannot finish $part"
            rm -rf -- "${result:?}"
            mv -T -- "$SCRATCH" "$result" || fail_world "cannot move $part into place"
        fi
        drop_lock
    fi
    touch -c -- "$result/.complete" # clean() goes by the last use.
    printf '%s\n' "$result"
}
