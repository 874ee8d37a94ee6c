#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# snapshot_vm_test.sh BIN_DIR SOURCE_DIR: a booted machine is saved, goes on, and starts again from its folder, with all kinds of
# devices and VFs; what is no snapshot, or one of another version, is refused with a reason.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
mimic=$BIN/mimic
cat >"$SANDBOX/m.yaml" <<'TEXT'
version: 1
machine:
  name: snap
  cpus: 2
  memory: 256M
  devices:
    - { name: alone, model: mock-accel, memory: 16M }
    - { name: static, model: mock-accel, memory: 16M, vfs: { count: 2, memory: 1M } }
    - { name: native, model: mock-accel, memory: 64M, sriov: native, vfs: { count: 4, memory: 1M } }
    - { name: hot, model: mock-accel, memory: 16M, hotplug: true }
TEXT
in_guest() { run 0 "$mimic" exec snap -- sh -c "$1"; }
verified() {
    run 0 "$mimic" verify snap
    has out "all agree with the plan"
}
# VFs of both kinds are there: two of the static device, three of the native one.
with_vfs() {
    in_guest 'ls -d /sys/class/mock-accel/*_vf* | wc -l'
    has out 5
}

begin "what is no machine"
run 1 "$mimic" snapshot nope "$SANDBOX/s"
absent "$SANDBOX/s"
absent "$SANDBOX/s.part"

begin "a machine with endpoints, static VFs, and a fabric with native ones"
run 0 "$mimic" up "$SANDBOX/m.yaml"
# shellcheck disable=SC2016 # The guest's own.
in_guest 'for pf in /sys/class/mock-accel/*/sriov_numvfs; do
    read -r most <"${pf%/*}/sriov_totalvfs"; [ "$most" = 2 ] && echo 2 >$pf; [ "$most" = 4 ] && echo 3 >$pf; done; :'
with_vfs
in_guest 'echo kept >/tmp/kept; sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/tmp/pid'

begin "folders of others beside it stay"
mkdir -m 700 "$SANDBOX/s.part" "$SANDBOX/s.old"
touch "$SANDBOX/s.part/mine" "$SANDBOX/s.old/mine"
run 1 "$mimic" snapshot snap "$SANDBOX/s"
has err "$SANDBOX/s.part/mine is no part of a snapshot"
[ -e "$SANDBOX/s.part/mine" ] || bad "a folder of somebody's was removed"
rm -r "$SANDBOX/s.part"
mkdir "$SANDBOX/page"
echo '{"name": "a page of the web"}' >"$SANDBOX/page/manifest.json"
run 1 "$mimic" snapshot snap "$SANDBOX/page" --force
has err "is no snapshot"
[ -e "$SANDBOX/page/manifest.json" ] || bad "a folder of somebody's was removed"
run 1 "$mimic" snapshot snap "$SANDBOX/.."
has err "names no folder that can be made"

begin "snapshot"
run 0 "$mimic" snapshot snap "$SANDBOX/s" --json
python3 - "$SANDBOX/out" <<'TEXT' || bad "the JSON"
import json, sys
said = json.load(open(sys.argv[1]))
sys.exit(0 if said["format"] == "mimic-snapshot-result" and said["machine"] == "snap" and said["disk_bytes"] > 1 << 20 else 1)
TEXT
absent "$SANDBOX/s.part"
begin "the machine goes on as it was"
verified
with_vfs
run 1 "$mimic" snapshot snap "$SANDBOX/s"
has err "--force"
run 1 "$mimic" snapshot snap "$SANDBOX"
has err "is no snapshot"
run 1 "$mimic" restore "$SANDBOX/s"
has err "already running"

begin "a snapshot that is killed, and the next one"
# The guest has let its devices go by then, and is stopped.
"$mimic" snapshot snap "$SANDBOX/killed" >"$SANDBOX/said" 2>&1 &
pid=$!
eventually test -e "$SANDBOX/killed.part/guest.mem"
kill -KILL "$pid"
wait "$pid"
run 0 "$mimic" snapshot snap "$SANDBOX/killed"
verified
with_vfs
rm -rf "$SANDBOX/killed" "$SANDBOX/killed.part"

begin "a disk that is full: nothing is left of it, and the machine goes on"
if mkdir "$SANDBOX/full" && mount -t tmpfs -o size=8M tmpfs "$SANDBOX/full" 2>/dev/null; then
    run 1 "$mimic" snapshot snap "$SANDBOX/full/s"
    [ -z "$(ls -A "$SANDBOX/full")" ] || bad "something is left on the full disk"
    umount "$SANDBOX/full"
    verified
else
    echo "skipped: no file system can be mounted here"
fi
run 0 "$mimic" down snap

begin "restore"
run 0 "$mimic" restore "$SANDBOX/s"
has out "snap: up after"
verified
with_vfs
# shellcheck disable=SC2016 # The guest's own.
in_guest 'cat /tmp/kept; kill -0 "$(cat /tmp/pid)" && echo lives'
has out kept
has out lives
# The host's clock, not that of the snapshot.
in_guest 'date +%s'
now=$(date +%s)
[ $((now - $(cat "$SANDBOX/out"))) -lt 600 ] || bad "the guest's clock was not set"
begin "a device works after a restore, in its driver's hands"
in_guest 'mock-accel-ctl info /dev/mock-accel0'
begin "a snapshot that cannot be replaced stays"
if mkdir "$SANDBOX/bound" && mount --bind "$SANDBOX/s" "$SANDBOX/bound" 2>/dev/null; then
    run 1 "$mimic" snapshot snap "$SANDBOX/bound" --force
    has err "replace $SANDBOX/bound"
    umount "$SANDBOX/bound"
    for name in manifest.json guest.mem; do [ -s "$SANDBOX/s/$name" ] || bad "the old one has no $name"; done
    absent "$SANDBOX/bound.part"
else
    echo "SKIP: no mount here"
fi

begin "a snapshot of a restored machine"
# As a shell completes it.
run 0 "$mimic" snapshot snap "$SANDBOX/s/" --force
[ -e "$SANDBOX/s.old/mine" ] || bad "a folder of somebody's was removed"
absent "$SANDBOX/s.part"
run 0 "$mimic" down snap

begin "run takes a snapshot for one command"
run 7 "$mimic" run "$SANDBOX/s" -- sh -c 'cat /tmp/kept; exit 7'
has out kept
run 0 "$mimic" ps --names
[ ! -s "$SANDBOX/out" ] || bad "a machine is left"

begin "what does not apply to a snapshot"
run 1 "$mimic" up "$SANDBOX/s" --set a=b
has err "--set does not apply"
run 1 "$mimic" up "$SANDBOX/s" --kernel 6.12
has err "--kernel does not apply"
run 1 "$mimic" up "$SANDBOX/s" --machine other
has err "of machine snap, not of other"
run 1 "$mimic" restore "$SANDBOX"
has err "is no snapshot"

begin "a folder is not believed what its machine was allowed"
cp "$SANDBOX/s/manifest.json" "$SANDBOX/good"
for change in 's/"qemu_args": \[\]/"qemu_args": ["-device","edu"]/' 's/"allow_commands": false/"allow_commands": true/'; do
    sed "$change" "$SANDBOX/good" >"$SANDBOX/s/manifest.json"
    run 1 "$mimic" restore "$SANDBOX/s"
    has err "if you trust it: --allow-commands"
done
sed 's/"shares": \[\]/"shares": ["\/etc:\/x:ro"]/; s/"allow_shares": false/"allow_shares": true/' "$SANDBOX/good" \
    >"$SANDBOX/s/manifest.json"
run 125 "$mimic" run "$SANDBOX/s" -- true
has err "/etc among them; if you trust it: --allow-shares"
cp "$SANDBOX/good" "$SANDBOX/s/manifest.json"

begin "another version, and what was cut or changed"
sed -i 's/"qemu": "[^"]*"/"qemu": "10.9.9"/' "$SANDBOX/s/manifest.json"
run 1 "$mimic" restore "$SANDBOX/s"
has err "QEMU 10.9.9"
has err "take a new one"
sed 's/"mimic": "[^"]*"/"mimic": "0.0.1"/' "$SANDBOX/good" >"$SANDBOX/s/manifest.json"
run 1 "$mimic" restore "$SANDBOX/s"
has err "was taken by mimic 0.0.1"
cp "$SANDBOX/good" "$SANDBOX/s/manifest.json"
size=$(stat -c %s "$SANDBOX/s/guest.mem")
truncate -s 100 "$SANDBOX/s/guest.mem"
run 1 "$mimic" restore "$SANDBOX/s"
has err "it was cut or changed"
truncate -s "$size" "$SANDBOX/s/guest.mem"
begin "memory that is none: QEMU refuses it, and nothing is left"
run 1 "$mimic" restore "$SANDBOX/s"
has err "mimic: error: machine snap: "
run 0 "$mimic" ps --names
[ ! -s "$SANDBOX/out" ] || bad "a machine is left"

begin "a machine that cannot be saved says why"
cat >"$SANDBOX/lock.yaml" <<'TEXT'
version: 1
machine: { name: lock, time: lock-step, cpus: 1, memory: 192M }
TEXT
run 0 "$mimic" up "$SANDBOX/lock.yaml"
run 1 "$mimic" snapshot lock "$SANDBOX/l"
has err "lock-step"
absent "$SANDBOX/l"
absent "$SANDBOX/l.part"
begin "a command by the agent, in a guest whose kernel panics"
run 125 "$mimic" exec lock -- sh -c 'echo c >/proc/sysrq-trigger; sleep 1000'
has err "it ended: the guest's kernel panicked: sysrq triggered crash (mimic logs lock)"
