// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"example.com/mimic/integrations/go/mimictest"
)

const status = "/sys/class/mock-accel/mock0/status"

var shared *mimictest.Machine

// One machine for all tests. A single test would say: box := mimictest.Up(t, "box.yaml").
func TestMain(m *testing.M) {
	lab, err := mimictest.NewLab()
	if err == nil {
		shared, err = lab.Up("box.yaml", mimictest.Options{Set: map[string]string{"gpus": "2"}})
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	code := m.Run()
	lab.Close()
	os.Exit(code)
}

// build makes the program as it is for the guest: static, since a guest has few libraries.
func build(t *testing.T) string {
	program := filepath.Join(t.TempDir(), "gpu-watch")
	command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	return program
}

func TestALostDeviceIsSeen(t *testing.T) {
	box := shared.With(t)
	box.CopyTo(build(t), "/tmp/gpu-watch")
	box.MustExec("sh", "-c", "/tmp/gpu-watch "+status+" </dev/null >/tmp/seen 2>&1 &")
	seen := func(lines string) {
		t.Helper()
		box.WaitFor("gpu-watch says "+lines, func() bool { return string(box.Read("/tmp/seen")) == lines })
	}
	seen("up\n")
	fault := box.Inject("gpu0", "all-ones")
	seen("up\nlost\n")
	fault.Clear()
	seen("up\nlost\nback\n")
}

func TestTheDriverWritesTheRegister(t *testing.T) {
	box := shared.With(t)
	recording := box.Record("gpu1")
	box.Write("/sys/class/mock-accel/mock1/status", []byte("42"))
	writes := recording.Stop().OfKind("bar-write", "STATUS")
	if len(writes) != 1 || writes[0].Value != 42 {
		t.Errorf("STATUS was written: %v", writes)
	}
	if value := box.Reg("gpu1", "BAR0.STATUS"); value != 42 {
		t.Errorf("STATUS is %d", value)
	}
	// The model alone, without a guest, does the same: the recording is a unit test of it (mimic replay --to-test).
	t.Log(recording.Replay())
}
