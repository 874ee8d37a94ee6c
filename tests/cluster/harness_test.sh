#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# harness_test.sh BIN_DIR: the namespaces of the test cluster leave nothing, whichever process dies.
set -uo pipefail
run=$(dirname "$(readlink -f -- "$0")")/run
bin=$1
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
export MIMIC_CLUSTER_LOGS=$work
failed=0
fail() { printf 'FAIL %s\n' "$*"; failed=1; }
# Until COMMAND succeeds, for a minute.
until_true() { local end=$((SECONDS + 60)); until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done; }
# Whether control groups of the cluster of process $1 are there.
groups_of() { compgen -G "/sys/fs/cgroup/*/mimic-cluster-$1" >/dev/null || [ -e "/sys/fs/cgroup/mimic-cluster-$1" ]; }
# shellcheck disable=SC2317 # Called by until_true.
no_process() { ! kill -0 "$1" 2>/dev/null; }
# The id, as this namespace sees it, of the process whose command line holds "sleep $1".
sleeper() { pgrep -f "^sleep $1\$" | head -n 1; }

# A status comes through, and a write to a folder of the node is not seen outside.
# shellcheck disable=SC2016 # For the inner shell.
"$run" "$bin" cluster --level none -- sh -c '
    [ "$(hostname)" = n1 ] && ip -4 -o addr show br0 | grep -q 10.77.0.1 &&
    mkdir -p /etc/cdi && echo x >/etc/mimic-cluster-test && mkdir /run/x && mkdir -p /var/lib/kubelet/plugins &&
    [ "$(cat /proc/sys/vm/overcommit_memory)" = 1 ] && [ "$$" -lt 100 ] && exit 42'
status=$?
[ "$status" = 77 ] && exit 77
[ "$status" = 42 ] || fail "status $status in place of 42"
[ ! -e /etc/mimic-cluster-test ] || fail "a file of the node is in the machine's /etc"

# An orphan in a session of its own and the command itself end with the outer process, PID 1 and the inner one.
for victim in outer first inner; do
    number=$((RANDOM + 100000))
    "$run" "$bin" cluster --level none -- sh -c "setsid sleep $number & exec sleep $((number + 1))" >"$work/$victim" 2>&1 &
    outer=$!
    until_true eval "[ -n \"\$(sleeper $number)\" ] && [ -n \"\$(sleeper $((number + 1)))\" ]" || fail "$victim: the command did not start"
    orphan=$(sleeper "$number") command=$(sleeper $((number + 1)))
    first=$(pgrep -P "$outer" | head -n 1)
    # shellcheck disable=SC2034 # Read as ${!victim}.
    inner=$(pgrep -P "$first" cluster | head -n 1)
    groups_of "$outer" || fail "$victim: there are no control groups"
    kill -KILL "${!victim}"
    until_true no_process "$orphan" || fail "$victim: the orphan lives"
    until_true no_process "$command" || fail "$victim: the command lives"
    wait "$outer" 2>/dev/null && fail "$victim: the status is 0"
    # Nobody removed the groups of a killed outer process; the next run does.
    [ "$victim" = outer ] && { "$run" "$bin" cluster --level none -- true >/dev/null || fail "the run after a killed one failed"; }
    groups_of "$outer" && fail "$victim: control groups are left"
done
[ "$failed" = 0 ] && echo "4 passed, 0 failed, 0 skipped"
exit "$failed"
