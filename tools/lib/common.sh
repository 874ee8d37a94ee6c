# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Shared ground of the set-up tools: messages, the cache folder, locks, progress lines for slow steps, and the
# publication of a finished folder by one rename, so that an interrupted run is never mistaken for a finished one.
# Sourced by tools/debs and tools/setup; defines functions only.

# The result of a tool goes to stdout alone, so every message goes to stderr.
say() { printf '%s: %s\n' "${TOOL_NAME:-tools}" "$*" >&2; }

# Ends the run. First argument: what happened; each further one: a line saying what to do.
die() {
    say "error: $1"
    shift
    local line
    for line in "$@"; do printf '    %s\n' "$line" >&2; done
    exit 1
}

# Prints the cache root. HOME is unset under some service managers and containers.
cache_root() {
    local home=${HOME:-}
    if [ -n "${MIMIC_CACHE:-}" ]; then
        # Paths from the cache end up inside generated wrappers and make files, so a relative one would break later.
        case $MIMIC_CACHE in
            /*) printf '%s\n' "${MIMIC_CACHE%/}" ;;
            *) printf '%s\n' "$PWD/${MIMIC_CACHE%/}" ;;
        esac
        return
    fi
    if [ -z "${XDG_CACHE_HOME:-}" ] && [ -z "$home" ]; then
        home=$(getent passwd "$(id -u)" | cut -d: -f6)
        [ -n "$home" ] || home=/root
    fi
    printf '%s/mimic\n' "${XDG_CACHE_HOME:-$home/.cache}"
}

# Free space of the file system that holds $1, in MiB.
free_mib() { df -Pm -- "$1" | awk 'NR == 2 { print $4 }'; }

# Ends the run at once if less than $1 MiB are free, rather than after some minutes. $2: for what.
need_mib() {
    local free
    free=$(free_mib "$CACHE")
    [ "${free:-0}" -ge "$1" ] || die "$2 needs $1 MiB, but the disk that holds $CACHE has ${free:-0} MiB free" \
        "Free some there, or set MIMIC_CACHE to a folder on another disk, and run again."
}

# Removes everything this run left unfinished; the exit trap, set by init_cache.
TEMPORARIES=()
CHILD=
SCRATCH=
cleanup() {
    local path
    if [ -n "$CHILD" ]; then
        # The step is a process group: killing its shell alone would leave apt running.
        kill -TERM -- "-$CHILD" 2>/dev/null
        wait "$CHILD" 2>/dev/null
        CHILD=
    fi
    for path in "${TEMPORARIES[@]}"; do
        [ -e "$path" ] || continue
        # Unpacked trees may hold read-only folders; a plain user cannot empty those before chmod.
        rm -rf -- "$path" 2>/dev/null || { chmod -R u+rwX -- "$path" 2>/dev/null; rm -rf -- "$path"; }
    done
    TEMPORARIES=()
}

# Programs of the cache are run, so nobody but us and root may have filled it; /tmp, sticky, may hold it (cache_root() of
# src/run/guest_image has the same rule).
check_cache_owner() {
    local uid mode
    [ -e "$CACHE" ] || return 0
    read -r uid mode < <(stat -L -c '%u %a' -- "$CACHE") || die "cannot look at the cache folder $CACHE"
    [ "$uid" = 0 ] || [ "$uid" = "$(id -u)" ] ||
        die "the cache folder $CACHE belongs to user $uid, not to $(id -u)" "chown it, or set MIMIC_CACHE to a folder of your own."
    if ((8#$mode & 8#0002)) && ! ((8#$mode & 8#1000)); then
        die "everybody may replace what is in the cache folder $CACHE (mode $mode)" "chmod it, or set MIMIC_CACHE to a folder of your own."
    fi
}

# Creates the cache folders and the traps. Sets CACHE, STORE and TMP.
init_cache() {
    CACHE=$(cache_root)
    STORE=$CACHE/store
    TMP=$CACHE/tmp
    check_cache_owner
    mkdir -p "$STORE" "$TMP" "$CACHE/locks" "$CACHE/kernels" 2>/dev/null ||
        die "cannot create the cache folder $CACHE" "Name a writable folder: MIMIC_CACHE=/some/folder $0 ..."
    # Colons separate library paths and blanks separate make words: refuse them here rather than fail far away.
    case $CACHE in
        *[[:space:]:\'\"\$]*)
            die "the cache path '$CACHE' holds a blank, a colon, a quote or a dollar sign" \
                "make and the dynamic loader cannot cope with these; set MIMIC_CACHE to a plain path." ;;
    esac
    trap cleanup EXIT
    trap 'say "interrupted"; exit 130' INT
    trap 'say "terminated"; exit 143' TERM HUP
}

# Takes the lock named $1 until the process ends or drop_lock. Says so if another run holds it.
take_lock() {
    local fd
    { exec {fd}>"$CACHE/locks/$1.lock"; } 2>/dev/null || fail_world "cannot write to $CACHE/locks"
    if ! flock -n "$fd"; then
        say "waiting for another run of this tool that works on '$1'"
        # In short waits, so that a signal is answered.
        until flock -w 1 "$fd"; do :; done
    fi
    LOCK_FD=$fd
}

drop_lock() { exec {LOCK_FD}>&-; }

# Sets SCRATCH to a fresh folder that disappears with this run. Leftovers of killed runs of the same name go first,
# which is safe because the caller holds the lock of that name.
make_scratch() {
    local name=${1//\//-} old
    for old in "$TMP/$name".*; do
        [ -e "$old" ] || continue
        TEMPORARIES+=("$old")
    done
    cleanup
    # Those of other names are taken for dead after a day (no step takes that long).
    find "$TMP" -mindepth 1 -maxdepth 1 -mmin +1440 -exec rm -rf -- {} + 2>/dev/null
    SCRATCH=$(mktemp -d "$TMP/$name.XXXXXX" 2>/dev/null) ||
        fail_world "cannot create a folder in $TMP"
    chmod 755 "$SCRATCH"
    TEMPORARIES+=("$SCRATCH")
}

# Ends the run after a failure of the world around us; tells a full disk from everything else, because that is what
# the user can mend. $1: what failed; $2: log file or nothing.
fail_world() {
    local what=$1 log=${2:-} free
    free=$(free_mib "$CACHE")
    if [ "${free:-0}" -lt 16 ] ||
        { [ -n "$log" ] && grep -qiE 'no space left|enough free space|disk quota' "$log"; }; then
        [ ! -d "$CACHE/apt/lists/partial" ] || find "$CACHE/apt/lists/partial" -type f -delete
        die "$what: the disk that holds $CACHE is full (${free:-0} MiB free)" \
            "Free some there (all kernels and QEMU take 3 GiB), or set MIMIC_CACHE to a folder on another disk, and run again." \
            "The unfinished files of this run have been removed."
    fi
    if [ -n "$log" ] && [ -s "$log" ]; then
        say "the last lines of the failed step:"
        # The loaders of package lists are chatty about hosts; the tail is enough to see the cause.
        tail -n 12 "$log" | sed 's/^/    | /' >&2
    fi
    die "$what"
}

# Runs a command with its output in $STEP_LOG; a progress line after 2 s and then every 5 s, with the size of the folder
# STEP_FOLDER if that is set. $1: description, then the command. Returns the command's status.
run_step() {
    local what=$1 start=$SECONDS next=2 status=0 size
    shift
    STEP_LOG=${SCRATCH:-$TMP/step.$$}.log
    TEMPORARIES+=("$STEP_LOG")
    set -m # A process group of its own, for cleanup.
    "$@" >"$STEP_LOG" 2>&1 </dev/null &
    CHILD=$!
    set +m
    # A quick step stays silent; polling keeps the traps responsive, which a foreground child would not.
    while kill -0 "$CHILD" 2>/dev/null; do
        sleep 0.05
        if [ $((SECONDS - start)) -ge "$next" ]; then
            size=
            [ -d "${STEP_FOLDER:-}" ] && size=", $(du -sm -- "$STEP_FOLDER" 2>/dev/null | cut -f1) MiB"
            say "$what ... $((SECONDS - start)) s$size"
            next=$((SECONDS - start + 5))
        fi
    done
    wait "$CHILD" || status=$?
    CHILD=
    return "$status"
}

# True if the finished folder store/$1 exists. The stamp is written last and the folder renamed after it.
is_ready() { [ -f "$STORE/$1/.complete" ]; }

# Publishes $SCRATCH as store/$1 and points the link $2 (relative to the cache) at it, both atomically.
publish() {
    local name=$1 link=$2
    date -u +%Y-%m-%dT%H:%M:%SZ >"$SCRATCH/.complete" || fail_world "cannot finish $name"
    [ -s "$SCRATCH/.complete" ] || fail_world "cannot finish $name"
    if [ -e "$STORE/$name" ]; then # Without a stamp: not ours, or a damaged copy.
        rm -rf -- "${STORE:?}/$name"
    fi
    mv -T -- "$SCRATCH" "$STORE/$name" || fail_world "cannot move $name into place"
    point_link "$name" "$link"
}

# Points cache/$2 at store/$1 unless it does so already.
point_link() {
    local name=$1 link=$CACHE/$2
    [ "$(readlink -- "$link" 2>/dev/null)" = "$STORE/$name" ] && return
    if [ -d "$link" ] && [ ! -L "$link" ]; then
        die "$link is a folder that this tool did not make" "Move it away and run again."
    fi
    if ! ln -sfn -- "$STORE/$name" "$link.new.$$" || ! mv -T -- "$link.new.$$" "$link"; then
        fail_world "cannot link $link"
    fi
}
