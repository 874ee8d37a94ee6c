#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mimic up where it must fail, and the commands around it, without booting anything.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
single=$SRC/examples/single.yaml
fake=$SANDBOX/fake-qemu

# A QEMU of version $1 whose "-device help" prints $2 and that does $3 when it is told to run.
fake_qemu() {
    cat >"$fake" <<SCRIPT
#!/bin/sh
case \$1 in
    --version) echo 'QEMU emulator version $1' ;;
    -device) echo '$2' ;;
    *) $3 ;;
esac
SCRIPT
    chmod +x "$fake"
}

begin 'usage'
run 2 "$mimic"
run 2 "$mimic" frobnicate
run 2 "$mimic" up
run 2 "$mimic" up "$single" --timeout soon
run 2 "$mimic" up "$single" --accel magic
run 0 "$mimic" help
has out doctor
run 0 "$mimic" help up
has out --foreground
run 0 "$mimic" version
run 0 "$mimic" --version

begin 'bad files'
printf 'version: 1\nmachine: {name: x, memroy: 1G}\n' >"$SANDBOX/bad.yaml"
run 1 "$mimic" up "$SANDBOX/bad.yaml"
has err 'bad.yaml:2:'
run 1 "$mimic" up "$SANDBOX/none.yaml"
has err 'No such file'
run 1 "$mimic" up "$single" --machine sinlge
has err 'did you mean single?'

begin 'plan'
for format in table qemu libvirt tree slices svg; do run 0 "$mimic" plan "$single" --format "$format"; done
run 0 "$mimic" plan "$single" --format svg -o "$SANDBOX/p.svg"
[ -s "$SANDBOX/p.svg" ] || bad 'no picture'
run 1 "$mimic" plan "$single" -o "$SANDBOX/none/p"
run 2 "$mimic" plan "$single" --format png
printf 'version: 1\nmachine: {name: x}\n' >"$SANDBOX/in.yaml"
"$mimic" plan - <"$SANDBOX/in.yaml" >/dev/null || bad 'plan of standard input'

begin 'a QEMU without vfio-user-pci'
fake_qemu 7.2.22 'name "virtio-net-pci"' 'exit 1'
export MIMIC_QEMU=$fake
run 1 "$mimic" up "$single"
has err 'no vfio-user-pci'
has err 7.2.22
nothing_left
run 1 "$mimic" doctor
has out 'no vfio-user-pci'
has out 'unset MIMIC_QEMU'

begin 'something that is no QEMU'
export MIMIC_QEMU=/bin/true
run 1 "$mimic" up "$single"
nothing_left
export MIMIC_QEMU=$SANDBOX/none
run 1 "$mimic" up "$single"
has err 'No such file'

begin 'the end of standard input is a signal with --until-eof'
run 2 "$mimic" up "$single" --until-eof
has err '--foreground'
run 2 "$mimic" up - --foreground --until-eof
has err 'cannot be the file'
fake_qemu 11.1.3 'name "vfio-user-pci"' 'exec sleep 600'
export MIMIC_QEMU=$fake
run 143 "$mimic" up "$single" --accel tcg --foreground --until-eof
has err 'nothing is left running'
nothing_left

begin 'a QEMU that ends at once: its words are shown'
fake_qemu 11.1.3 'name "vfio-user-pci"' 'echo "qemu: no such machine" >&2; exit 1'
export MIMIC_QEMU=$fake
run 1 "$mimic" up "$single" --accel tcg
has err 'QEMU ended with exit status 1'
has err 'qemu: no such machine'
nothing_left
grep -q 'exit status 1' "$XDG_STATE_HOME/mimic/single/exit-reason" || bad 'no exit-reason'
run 0 "$mimic" logs single --qemu
has out 'no such machine'
has err 'QEMU ended'

begin 'a QEMU that boots nothing: timeout'
fake_qemu 11.1.3 'name "vfio-user-pci"' 'exec sleep 1000'
run 1 "$mimic" up "$single" --accel tcg --timeout 2
has err 'did not finish booting in 2 s; it is at: firmware (more time: --timeout SECONDS)'
has err 'stage: firmware'
has err 'printed nothing'
nothing_left

begin 'SIGINT while it boots'
fresh out err
"$mimic" up "$single" --accel tcg >"$SANDBOX/out" 2>"$SANDBOX/err" &
pid=$!
eventually test -e "$XDG_RUNTIME_DIR/mimic/single/gpu0.sock"
run 1 "$mimic" up "$single" --accel tcg
has err 'already running'
run 0 "$mimic" ps
has out starting
# Background jobs of a shell ignore SIGINT; mimic catches it nevertheless.
kill -INT "$pid"
wait "$pid"
status=$?
[ "$status" -eq 130 ] || bad "exit status $status after SIGINT"
nothing_left

begin 'SIGKILL of mimic up while it boots'
fresh out err
"$mimic" up "$single" --accel tcg >"$SANDBOX/out" 2>"$SANDBOX/err" &
pid=$!
eventually test -e "$XDG_RUNTIME_DIR/mimic/single/gpu0.sock"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
nothing_left

begin 'a device host that dies while the guest boots'
fresh out err
"$mimic" up "$single" --accel tcg >"$SANDBOX/out" 2>"$SANDBOX/err" &
pid=$!
host() { "$mimic" ps --json | tr -d ' \n' | sed -n 's/.*"device_host_pids":\[\([0-9]*\).*/\1/p' | grep .; }
eventually test -e "$XDG_RUNTIME_DIR/mimic/single/gpu0.sock"
eventually host
kill -KILL "$(host)"
wait "$pid"
status=$?
[ "$status" -eq 1 ] || bad "exit status $status"
has err 'the device host was killed by signal 9'
nothing_left
unset MIMIC_QEMU

begin 'run folders that are not ours alone'
rm -rf "$XDG_RUNTIME_DIR/mimic"
mkdir "$SANDBOX/elsewhere"
ln -s "$SANDBOX/elsewhere" "$XDG_RUNTIME_DIR/mimic"
run 1 "$mimic" up "$single" --accel tcg
has err 'remove it'
[ -z "$(ls -A "$SANDBOX/elsewhere")" ] || bad 'wrote through the link'
rm "$XDG_RUNTIME_DIR/mimic"
mkdir -m 777 "$XDG_RUNTIME_DIR/mimic"
chmod 777 "$XDG_RUNTIME_DIR/mimic"
run 1 "$mimic" ps
has err 'open to others'
rmdir "$XDG_RUNTIME_DIR/mimic"
if [ "$(id -u)" -eq 0 ]; then
    mkdir -m 700 "$XDG_RUNTIME_DIR/mimic"
    chown 65534 "$XDG_RUNTIME_DIR/mimic"
    run 1 "$mimic" ps
    has err 'belongs to user 65534'
    rmdir "$XDG_RUNTIME_DIR/mimic"
fi

begin 'a run folder that is too deep for sockets'
deep=$SANDBOX/$(printf 'd%.0s' {1..90})
mkdir -m 700 "$deep"
XDG_RUNTIME_DIR=$deep run 1 "$mimic" up "$single" --accel tcg
has err 'XDG_RUNTIME_DIR'
[ -z "$(find "$deep" -mindepth 2 ! -name .lock)" ] || bad 'left something'

begin 'a full disk'
mkdir "$SANDBOX/full"
if mount -t tmpfs -o size=64k,mode=700 none "$SANDBOX/full" 2>/dev/null; then
    head -c 100000 /dev/zero >"$SANDBOX/full/ballast" 2>/dev/null
    XDG_RUNTIME_DIR=$SANDBOX/full run 1 "$mimic" up "$single" --accel tcg
    has err 'No space left'
    [ -z "$(find "$SANDBOX/full" -mindepth 2 ! -name .lock)" ] || bad "left: $(find "$SANDBOX/full")"
    XDG_STATE_HOME=$SANDBOX/full run 1 "$mimic" up "$single" --accel tcg
    has err 'No space left'
    nothing_left
    umount "$SANDBOX/full"
else
    printf 'NOTE: cannot mount a small file system here (needs root); not tested\n'
fi

begin 'machines that do not run'
run 0 "$mimic" down
run 1 "$mimic" down single
has err 'there is no machine single'
run 0 "$mimic" down single --ignore-missing
run 1 "$mimic" down ../single
run 125 "$mimic" exec single -- true
has err 'does not run'
run 1 "$mimic" console single
run 1 "$mimic" cp single:/etc/hosts "$SANDBOX/x"
run 2 "$mimic" verify
run 1 "$mimic" logs nothing
run 0 "$mimic" ps --names
[ ! -s "$SANDBOX/out" ] || bad 'names of machines that do not run'
