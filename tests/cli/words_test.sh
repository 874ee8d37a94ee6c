#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What mimic says to somebody who gets a word wrong, and to nobody else; nothing is booted.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
examples=$SRC/examples
silent() { [ ! -s "$SANDBOX/$1" ] || bad "std$1 is not empty"; }

begin 'words that are no command'
run 2 "$mimic" verfy
has err 'mimic: error: no command "verfy"; did you mean verify?'
run 2 "$mimic" upp
has err 'did you mean up?'
run 2 "$mimic" kernel upp
has err 'mimic: error: no command "kernel upp"; did you mean up?'
has err 'mimic kernel --help'
run 2 "$mimic" supervize
lacks err 'supervise?'
run 2 "$mimic" xyzzyxyzzy
has err 'no command "xyzzyxyzzy"'
run 2 "$mimic" --verison
has err 'did you mean --version?'
run 2 "$mimic" "$(printf 'x%.0s' {1..5000})"
[ "$(wc -c <"$SANDBOX/err")" -lt 300 ] || bad 'the word is repeated whole'

begin 'no word at all lists the commands'
run 2 "$mimic"
has out 'verify'
has out 'doctor'
silent err
run 2 "$mimic" kernel
has out 'plan'
silent err

begin 'options of a command'
run 2 "$mimic" up x.yaml --timout 3
has err 'mimic up has no option --timout; did you mean --timeout?'
run 2 "$mimic" plan
has err 'FILE is required'
has err 'See: mimic plan --help'
run 2 "$mimic" ps more
has err '"more" is one word too many'

run 2 "$mimic" up x.yaml --timout=3
has err 'mimic up has no option --timout; did you mean --timeout?'
for words in 'lab.yaml --limt 3 -- true' 'lab.yaml --limt=3 -- true --more' '--limt 3 lab.yaml -- true' 'lab.yaml --limt 3'; do
    # shellcheck disable=SC2086 # Words.
    run 125 "$mimic" run $words
    has err 'mimic run has no option --limt; did you mean --limit?'
done

begin 'wrong usage of what ends as a command in a guest does is no status that the command may have'
run 125 "$mimic" run
has err 'See: mimic run --help'
run 125 "$mimic" run lab.yaml --timeout x -- true
run 125 "$mimic" exec nobody --nope -- sh
has err 'mimic exec has no option --nope'

begin 'output that cannot be written is no success'
mkdir -p "$XDG_STATE_HOME/mimic/full"
echo 'a line' >"$XDG_STATE_HOME/mimic/full/console.log"
full() {
    local got=0
    "$mimic" "$@" >/dev/full 2>"$SANDBOX/err" </dev/null || got=$?
    [ "$got" -eq 1 ] || bad "exit status $got of \"$*\" with a full disk"
    [ "$(grep -c 'standard output' "$SANDBOX/err")" -eq 1 ] || bad "\"$*\" does not say once what is wrong"
}
fresh out
for words in ps 'ps --all' 'ps --all --names' 'ps --json' doctor 'doctor --json' 'inject --list' -V --help help 'logs full' \
    'logs full --json' 'new --list' "plan $examples/single.yaml" "plan $examples/single.yaml --json" reference '__reference markdown' \
    '__complete --'; do
    # shellcheck disable=SC2086 # Words.
    full $words
done
# Whoever reads has read enough.
# shellcheck disable=SC2016 # for the inner shell
run 0 bash -c 'trap "" PIPE; set -o pipefail; { sleep 0.2; "$1" inject --list; } | exec true' sh "$mimic"
lacks err 'standard output'
run 0 "$mimic" rm full

begin 'version and help'
run 0 "$mimic" -V
has out 'mimic '
run 0 "$mimic" help kernel up
has out '--driver'
run 2 "$mimic" help kernel upp
has err 'did you mean up?'
run 2 "$mimic" help up more
has err 'has no commands of its own'
for command in up run prepare results down ps logs exec cp verify console doctor inject trace replay regs top api web new plan \
    clone tree kernel mediator serve; do
    run 0 "$mimic" "$command" --help
    for noise in UINT TEXT FLOAT ' in [' 'kb(='; do lacks out "$noise"; done
done
run 0 "$mimic" up --help
has out '{tcg,kvm}'
has out '6.1, 6.12, newest, or the path of a kernel of yours'
has out '--machine VALUE'
lacks out '--allow-commands VALUE'
lacks out '--help VALUE'

begin 'the command of a guest has options of its own'
run 125 "$mimic" exec nobody uname -r
has err 'machine nobody does not run'
run 125 "$mimic" exec nobody ls --help
has err 'machine nobody does not run'
run 125 "$mimic" exec nobody -- ls --help
has err 'machine nobody does not run'
run 0 "$mimic" exec --help
run 125 "$mimic" exec nobody
# Options of ours behind the machine are ours: a guest has no command "-it".
for words in '-it -- sh' '-it sh -c true' '-e A=b -- env' '-eA=b -- env' '-w /tmp -- ls -l' '--env=A=b -- env' '-ie A=b env -i'; do
    # shellcheck disable=SC2086 # Words.
    run 125 "$mimic" exec nobody $words
    has err 'machine nobody does not run'
done
run 125 "$mimic" exec nobody -e A -- env
has err 'expected NAME=VALUE'

begin 'down'
run 1 "$mimic" down nope
has err 'mimic: error: there is no machine nope'
run 0 "$mimic" down nope --ignore-missing
has err 'no machine nope'
run 1 "$mimic" down ../nope --ignore-missing
mkdir -p "$XDG_STATE_HOME/mimic/gone"
echo 'stopped on request' >"$XDG_STATE_HOME/mimic/gone/exit-reason"
run 0 "$mimic" down gone
has err 'it ended: stopped on request'
run 125 "$mimic" exec gone true
has err 'machine gone does not run; it ended: stopped on request'
mkdir -m 700 "$XDG_RUNTIME_DIR/mimic" 2>/dev/null
mkdir -m 700 "$XDG_RUNTIME_DIR/mimic/left"
run 125 "$mimic" exec left true
has err 'its supervisor was killed; clean up with: mimic down left'
run 1 "$mimic" down lefd
has err 'did you mean left?'
run 0 "$mimic" down left

begin 'files that cannot be read or are something else'
for words in 'plan /' 'kernel plan /' 'up /' 'clone /'; do
    # shellcheck disable=SC2086 # Words.
    run 1 "$mimic" $words
    has err 'mimic: error: '
    grep -qE 'Is a directory|is a folder and is no snapshot' "$SANDBOX/err" || bad "it does not say that it is a folder"
done
printf 'version: 1\nmachine:\n\tname: x\n' >"$SANDBOX/tab.yaml"
run 1 "$mimic" plan "$SANDBOX/tab.yaml"
has err 'tab.yaml:3:1: a tab in the indentation'
printf '{"displayTimeUnit":"ns","traceEvents":[\n{"ph":"M"}\n]}\n' >"$SANDBOX/run.json"
run 2 "$mimic" replay "$SANDBOX/run.json"
has err 'this is a trace for Perfetto'
head -c 400 "$SRC/tests/replay/driver_session.jsonl" >"$SANDBOX/half.jsonl"
run 2 "$mimic" replay "$SANDBOX/half.jsonl"
head -n 3 "$SRC/tests/replay/driver_session.jsonl" | head -c -20 >"$SANDBOX/half.jsonl"
run 2 "$mimic" replay "$SANDBOX/half.jsonl"
has err 'the file was cut off'

begin 'names that are far are not suggested'
run 2 "$mimic" nope
lacks err 'did you mean'
run 1 "$mimic" plan "$examples/two-node-cluster.yaml" --machine nope
lacks err 'did you mean'
has err 'node1, node2'

begin 'a machine that ended says why, to each command'
echo 'stopped on request' >"$XDG_STATE_HOME/mimic/gone/exit-reason"
for words in 'regs gone gpu0' 'inject gone gpu0 all-ones' 'top gone --once'; do
    # shellcheck disable=SC2086 # Words.
    run 1 "$mimic" $words
    has err 'machine gone does not run; it ended: stopped on request'
done

begin 'folders and files of words'
run 1 "$mimic" restore "$SANDBOX/none"
has err 'none is no folder of a snapshot'
run 1 "$mimic" restore "$SANDBOX/none" --json -q --foreground --logs
document mimic-error
run 2 "$mimic" plan "$examples/single.yaml" --numvfs 9
has err '--format slices'
run 0 "$mimic" plan "$examples/single.yaml" --format slices --numvfs 0
run 1 "$mimic" gdb nobody --symbols /etc/passwd
has err '--symbols /etc/passwd: expected an ELF file'
run 1 "$mimic" gdb nobody --symbols "$SANDBOX"
has err 'expected an ELF file'
run 1 "$mimic" gdb nobody --symbols "$mimic"
has err 'machine nobody'

begin 'completion'
run 0 "$mimic" __complete up --kernel 6
has out '6.12'
has out ':file'
run 0 "$mimic" __complete --context ''
lacks out verify
lacks out ':file'
run 0 "$mimic" __complete --context some p
has out 'ps'

begin 'plans of several machines'
cluster=$examples/two-node-cluster.yaml
run 1 "$mimic" plan "$cluster" --format libvirt
has err 'one domain: --machine node1, or -o FOLDER/'
run 1 "$mimic" plan "$cluster" --format libvirt -o "$SANDBOX/all.xml"
for folder in xml/deep/ plain; do
    # shellcheck disable=SC2016 # for the inner shell
    run 0 bash -c 'umask 022; "$@"' sh "$mimic" plan "$cluster" --format libvirt -o "$SANDBOX/$folder"
    [ "$(stat -c %a "$SANDBOX/$folder/node2.xml")" = 644 ] || bad 'no document of node2, or only for its owner'
done
run 0 "$mimic" plan "$cluster" --format qemu -o "$SANDBOX/scripts/"
[ -s "$SANDBOX/scripts/node1.sh" ] || bad 'no script of node1'
run 0 "$mimic" plan "$cluster" --format libvirt --machine node2
has out '<name>node2</name>'
lacks out '<domains>'
for format in qemu tree svg; do
    run 0 "$mimic" plan "$cluster" --format "$format" --machine node2
    lacks out node1
done
run 1 "$mimic" plan "$cluster" --machine nodd1
has err 'did you mean node1?'

begin 'serve makes the folder of its sockets'
fresh served err
"$mimic" serve "$examples/single.yaml" --run-dir "$SANDBOX/new/deep" >"$SANDBOX/served" 2>"$SANDBOX/err" &
pid=$!
eventually grep -q '^ready' "$SANDBOX/served"
[ "$(stat -c %a "$SANDBOX/new/deep")" = 700 ] || bad 'the folder is open to others'
kill -TERM "$pid"
wait "$pid" || bad 'serve failed'

begin 'doctor'
export MIMIC_CACHE=$SANDBOX/empty MIMIC_QEMU_PRIVATE=1
"$mimic" doctor --json >"$SANDBOX/out" 2>"$SANDBOX/err"
status=$?
python3 - "$SANDBOX/out" "$status" <<'PY' || bad 'not what doctor --json promises'
import json, sys
told = json.load(open(sys.argv[1], encoding="utf-8"))
assert told["format"] == "mimic-doctor" and told["version"] == 1, told
missing = any(one["health"] == "missing" for one in told["findings"])
assert told["result"] == ("missing" if missing else "ok") and missing == (sys.argv[2] == "1"), told
qemu = next(one for one in told["findings"] if one["subject"] == "QEMU")
programs = next(one for one in told["findings"] if one["subject"] == "Programs")
# What mimic up fetches by itself is a note, as the kernels are.
assert programs["health"] != "ok" or (qemu["health"] == "note" and "mimic up fetches" in qemu["text"]), qemu
PY
