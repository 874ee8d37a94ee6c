// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const topology = `version: 1
machine:
  name: box
  devices:
    - {name: gpu0, model: mock-accel}
    - {name: gpu1, model: mock-accel}
`

// served is a machine without a guest: a device host in a run folder whose lock is held, as a supervisor would.
type served struct {
	lab *Lab
	run string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T) *served {
	t.Helper()
	lab, err := NewLab()
	must(t, err)
	t.Cleanup(lab.Close)
	run := filepath.Join(lab.folder, "mimic", "box")
	must(t, os.MkdirAll(run, 0o700))
	logs := filepath.Join(lab.folder, "state", "mimic", "box")
	must(t, os.MkdirAll(logs, 0o700))
	must(t, os.WriteFile(filepath.Join(logs, "console.log"), []byte("booting\nthe last words of the guest\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(run, "topology.yaml"), []byte(topology), 0o600))
	lock, err := os.Create(filepath.Join(run, "lock"))
	must(t, err)
	must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	host, err := lab.command.start("serve", filepath.Join(run, "topology.yaml"), "--run-dir", run, "--control",
		filepath.Join(run, "control-0.sock"))
	must(t, err)
	t.Cleanup(func() {
		host.end()
		lock.Close()
	})
	_, err = host.firstWords(commandTimeout)
	must(t, err)
	return &served{lab, run}
}

// writeCommand writes the COMMAND register of a device, as a guest would.
func (s *served) writeCommand(t *testing.T, device, hexadecimal string) {
	t.Helper()
	client := exec.Command("python3", "../../../tests/cli/vfio_client.py", filepath.Join(s.run, device+".sock"), "4", hexadecimal)
	input, err := client.StdinPipe()
	must(t, err)
	output, err := client.StdoutPipe()
	must(t, err)
	must(t, client.Start())
	if line, _ := bufio.NewReader(output).ReadString('\n'); line != "written\n" {
		t.Fatalf("the client said %q", line)
	}
	input.Close()
	must(t, client.Wait())
}

// judged is a test that notes how it ends, in place of ending.
type judged struct {
	testing.TB
	fatal    string
	log      []string
	cleanups []func()
}

func (j *judged) Helper()          {}
func (j *judged) Failed() bool     { return j.fatal != "" }
func (j *judged) Cleanup(f func()) { j.cleanups = append(j.cleanups, f) }
func (j *judged) Logf(format string, arguments ...any) {
	j.log = append(j.log, fmt.Sprintf(format, arguments...))
}
func (j *judged) Fatalf(format string, arguments ...any) {
	j.fatal = fmt.Sprintf(format, arguments...)
	runtime.Goexit()
}

// judge does what a test would do, its cleanups too, and returns how it ended.
func judge(t *testing.T, lab *Lab, what func(m *Machine)) *judged {
	result := &judged{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(result.cleanups) - 1; i >= 0; i-- {
				result.cleanups[i]()
			}
		}()
		what((&Machine{lab: lab, name: "box"}).With(result))
	}()
	<-done
	return result
}

// ends expects that the test ends with these words.
func ends(t *testing.T, lab *Lab, words string, what func(m *Machine)) {
	t.Helper()
	if result := judge(t, lab, what); !strings.Contains(result.fatal, words) {
		t.Errorf("it ended with %q, not with %q", result.fatal, words)
	}
}

// fake is a Lab whose `mimic` is a shell script; for answers that the real one gives but rarely.
func fake(t *testing.T, script string) *Lab {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mimic")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700))
	t.Setenv("MIMIC", path)
	lab, err := NewLab()
	must(t, err)
	t.Cleanup(lab.Close)
	return lab
}
