// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	execFailed  = 125 // `mimic exec` itself, not the command
	longCommand = time.Hour
	// WaitTimeout is how long WaitFor waits: a guest with an emulated CPU on a busy host may stand still for many seconds.
	WaitTimeout = 2 * time.Minute
)

// Machine is one that runs, bound to a test: its methods end that test when Mimic cannot do what they say.
type Machine struct {
	lab      *Lab
	name     string
	t        testing.TB
	recorded Events // by the last recording of the test
}

// Result is what came of a command in a guest. Status is its exit status, or 128 + the signal that ended it.
type Result struct {
	Status         int
	Stdout, Stderr []byte
}

// Text is standard output as text, without white space around.
func (r Result) Text() string { return text(r.Stdout) }

// Name is that of the topology file.
func (m *Machine) Name() string { return m.name }

// With returns the machine bound to a test, for a machine that several tests share. If that test fails, the console's last lines and
// the devices' last events are logged.
func (m *Machine) With(t testing.TB) *Machine {
	bound := &Machine{lab: m.lab, name: m.name, t: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console of %s:\n%s", bound.name, bound.Console(40))
			t.Logf("trace of %s:\n%s", bound.name, bound.traceText(40))
			// A device host begins anew with its trace at the end of a recording.
			if len(bound.recorded) != 0 {
				t.Logf("recorded of %s:\n%s", bound.name, bound.recorded.text(40))
			}
		}
	})
	return bound
}

// must ends the test for an error.
func (m *Machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
}

// Exec runs a command in the guest, without a shell between, and waits for its end.
func (m *Machine) Exec(argv ...string) Result {
	m.t.Helper()
	return m.ExecInput(nil, longCommand, argv...)
}

// MustExec is Exec of a command that must end with 0, or the test ends.
func (m *Machine) MustExec(argv ...string) Result {
	m.t.Helper()
	result := m.Exec(argv...)
	if result.Status != 0 {
		m.t.Fatalf("%s: `%s` ended with %d\nstdout: %s\nstderr: %s", m.name, strings.Join(argv, " "), result.Status,
			printable(text(result.Stdout)), printable(text(result.Stderr)))
	}
	return result
}

// Shell is Exec of lines for the guest's sh.
func (m *Machine) Shell(script string) Result {
	m.t.Helper()
	// A newline first: the parser of mimic's command line takes a word in brackets, such as a test(1) alone, for a list.
	return m.Exec("sh", "-c", "\n"+script)
}

// ExecInput is Exec with bytes on the command's standard input, and a limit, after which the test ends; the command may go on.
func (m *Machine) ExecInput(input []byte, limit time.Duration, argv ...string) Result {
	m.t.Helper()
	done, err := m.lab.command.run(limit, input, append([]string{"exec", m.name, "--"}, argv...)...)
	m.must(err)
	if done.status == execFailed && bytes.HasPrefix(done.stderr, []byte("mimic: ")) {
		m.t.Fatalf("%s: `%s`: %s", m.name, strings.Join(argv, " "), printable(text(done.stderr)))
	}
	return Result{done.status, done.stdout, done.stderr}
}

// CopyTo copies a file into the guest, with its mode.
func (m *Machine) CopyTo(source, target string) {
	m.t.Helper()
	// A path with a colon is one of a guest, unless a slash is before it.
	path, err := filepath.Abs(source)
	m.must(err)
	_, err = m.lab.command.ask(longCommand, "cp", path, m.name+":"+target)
	m.must(err)
}

// CopyFrom copies a file out of the guest, with its mode.
func (m *Machine) CopyFrom(source, target string) {
	m.t.Helper()
	path, err := filepath.Abs(target)
	m.must(err)
	_, err = m.lab.command.ask(longCommand, "cp", m.name+":"+source, path)
	m.must(err)
}

// Read returns what a file of the guest holds.
func (m *Machine) Read(path string) []byte {
	m.t.Helper()
	return m.MustExec("cat", path).Stdout
}

// Write makes or replaces a file of the guest.
func (m *Machine) Write(path string, data []byte) {
	m.t.Helper()
	if done := m.ExecInput(data, longCommand, "sh", "-c", `cat >"$1"`, "sh", path); done.Status != 0 {
		m.t.Fatalf("%s: cannot write %s: %s", m.name, path, printable(text(done.Stderr)))
	}
}

// Regs returns the registers of a device as they are stored now; looking changes nothing.
func (m *Machine) Regs(device string) *Registers {
	m.t.Helper()
	path, err := machinePath(m.name, "devices", device, "registers")
	m.must(err)
	control, err := m.lab.api()
	m.must(err)
	var answer registersJSON
	m.must(control.get(path, nil, &answer))
	registers, err := newRegisters(&answer)
	m.must(err)
	return registers
}

// Reg returns one register, or a field of one, by its name in Registers.
func (m *Machine) Reg(device, name string) uint64 {
	m.t.Helper()
	value, err := m.Regs(device).Lookup(name)
	m.must(err)
	return value
}

var (
	sample = regexp.MustCompile(`(?m)^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)`)
	label  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// Metric returns the sum of the samples of a metric of this machine (docs/metrics.md) that have these labels.
func (m *Machine) Metric(name string, labels map[string]string) float64 {
	m.t.Helper()
	control, err := m.lab.api()
	m.must(err)
	answer, err := control.request("GET", "/metrics", nil, nil)
	m.must(err)
	sum, found := 0.0, false
	for _, match := range sample.FindAllStringSubmatch(string(answer), -1) {
		has := map[string]string{}
		for _, pair := range label.FindAllStringSubmatch(match[2], -1) {
			has[pair[1]] = pair[2]
		}
		fits := match[1] == name && has["machine"] == m.name
		for key, value := range labels {
			fits = fits && has[key] == value
		}
		if value, err := strconv.ParseFloat(match[3], 64); fits && err == nil {
			sum, found = sum+value, true
		}
	}
	if !found {
		m.t.Fatalf("%s: no metric %s with %v (docs/metrics.md)", m.name, name, labels)
	}
	return sum
}

// WaitFor asks until condition is true, and ends the test after WaitTimeout, or at once if the machine ends.
func (m *Machine) WaitFor(what string, condition func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(WaitTimeout); !condition(); time.Sleep(100 * time.Millisecond) {
		m.must(m.alive())
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: %s: not within %v", m.name, what, WaitTimeout)
		}
	}
}

// Verify compares the guest with its file, and ends the test with the table if they differ.
func (m *Machine) Verify() {
	m.t.Helper()
	done, err := m.lab.command.run(10*time.Minute, nil, "verify", m.name)
	m.must(err)
	if done.status != 0 {
		m.t.Fatalf("`mimic verify %s` ended with %d\n%s", m.name, done.status, text(append(done.stdout, done.stderr...)))
	}
}

// Console returns the last lines that the guest printed, fit for a terminal; the reason if there are none.
func (m *Machine) Console(lines int) string {
	return m.tail(lines, "logs", m.name)
}

func (m *Machine) traceText(lines int) string {
	return m.tail(lines, "trace", m.name, "--last", strconv.Itoa(lines))
}

func (m *Machine) tail(lines int, words ...string) string {
	done, err := m.lab.command.run(commandTimeout, nil, words...)
	if err != nil {
		return err.Error()
	}
	if done.status != 0 || len(done.stdout) == 0 {
		return text(done.stderr)
	}
	all := strings.Split(text(done.stdout), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

// Whole is whether the machine runs with all its devices: no process that serves them has died (host-crash) or hangs.
func (m *Machine) Whole() bool {
	m.t.Helper()
	machines, err := m.lab.machines()
	m.must(err)
	running := false
	for _, machine := range machines {
		running = running || machine.Name == m.name && machine.Phase == "running"
	}
	if !running {
		return false
	}
	path, err := machinePath(m.name, "devices")
	m.must(err)
	control, err := m.lab.api()
	m.must(err)
	// Who looks right after a crash is quicker than the supervisor, which says degraded.
	var answer struct {
		Unreachable []string
		BusyLoops   int `json:"busy_loops"`
	}
	return control.get(path, nil, &answer) == nil && len(answer.Unreachable) == 0 && answer.BusyLoops == 0
}

// alive says why the machine does not run.
func (m *Machine) alive() error {
	machines, err := m.lab.machines()
	if err != nil {
		return err
	}
	for _, machine := range machines {
		if machine.Name == m.name {
			if machine.Phase == "running" || machine.Phase == "degraded" || machine.Phase == "starting" {
				return nil
			}
			return fmt.Errorf("the machine does not run: %s", machine.Reason)
		}
	}
	return fmt.Errorf("the machine does not run any more: %s", m.tail(1, "logs", m.name))
}
