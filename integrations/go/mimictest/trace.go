// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Event is one of a trace: TraceEvent of the API document. Raw has all members, also those that have no field here.
type Event struct {
	Time     int64  `json:"t"` // ns of CLOCK_MONOTONIC
	Device   string `json:"device"`
	Kind     string `json:"kind"` // bar-read, bar-write, msix, fault, ...
	Register string `json:"reg"`  // its name, of an access
	Addr     Hex    `json:"addr"`
	Value    Hex    `json:"value"`
	Size     int    `json:"size"`
	Vector   int    `json:"vector"`
	Text     string `json:"text"`
	Faulted  bool   `json:"faulted"` // an injected fault answered or swallowed it
	Raw      json.RawMessage
}

// Hex is a number that JSON has as "0x2a".
type Hex uint64

// UnmarshalJSON is for encoding/json.
func (h *Hex) UnmarshalJSON(data []byte) error {
	value, err := strconv.ParseUint(strings.TrimPrefix(strings.Trim(string(data), `"`), "0x"), 16, 64)
	*h = Hex(value)
	return err
}

// Events are in the order of time.
type Events []Event

// Find returns those for which match is true.
func (e Events) Find(match func(Event) bool) Events {
	var found Events
	for _, event := range e {
		if match(event) {
			found = append(found, event)
		}
	}
	return found
}

// OfKind returns those of a kind; with a register's name, of that register.
func (e Events) OfKind(kind string, register ...string) Events {
	return e.Find(func(event Event) bool {
		return event.Kind == kind && (len(register) == 0 || event.Register == register[0])
	})
}

// text is a line for each of the last events, with ms since the first.
func (e Events) text(lines int) string {
	if len(e) > lines {
		e = e[len(e)-lines:]
	}
	var out []string
	for _, event := range e {
		words := []string{fmt.Sprintf("%+.3f ms", float64(event.Time-e[0].Time)/1e6), event.Device, event.Kind, event.Register}
		var has struct{ Value, Addr *Hex }
		if json.Unmarshal(event.Raw, &has) == nil && has.Value != nil {
			words = append(words, fmt.Sprintf("%#x", uint64(*has.Value)))
		} else if has.Addr != nil {
			words = append(words, fmt.Sprintf("@%#x", uint64(*has.Addr)))
		}
		out = append(out, strings.Join(words, " ")+" "+event.Text)
	}
	return printable(strings.Join(out, "\n"))
}

// Recording is a `mimic trace` of a running machine.
type Recording struct {
	machine *Machine
	process *background
	// Path is the file of the recording. It goes with the test: copy it to keep it.
	Path string
	lost int
}

// Record begins a recording of these devices (all), with all bytes of DMA, as a replay needs them. Stop ends it.
func (m *Machine) Record(devices ...string) *Recording {
	m.t.Helper()
	path := filepath.Join(m.t.TempDir(), "recording.jsonl")
	words := append(append([]string{"trace", m.name}, devices...), "--follow", "--data", "65536", "-o", path)
	process, err := m.lab.command.start(words...)
	m.must(err)
	recording := &Recording{machine: m, process: process, Path: path}
	m.t.Cleanup(func() {
		if recording.process != nil {
			recording.process.end()
		}
	})
	deadline := time.Now().Add(commandTimeout)
	for !strings.Contains(process.words(), "recording") {
		select {
		case <-process.ended:
			m.t.Fatalf("`mimic trace %s` does not record: %s", m.name, process.words())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("`mimic trace %s` does not begin to record: %s", m.name, process.words())
		}
	}
	return recording
}

// Stop ends the recording and returns its events. That there is no event of some kind is certain only if Lost is 0.
func (r *Recording) Stop() Events {
	r.machine.t.Helper()
	if r.process != nil {
		process := r.process
		r.process = nil
		if status := process.end(); status != 0 {
			r.machine.t.Fatalf("`mimic trace %s` ended with %d: %s", r.machine.name, status, process.words())
		}
	}
	events, lost, err := ReadTrace(r.Path)
	r.machine.must(err)
	r.machine.recorded, r.lost = events, lost
	return events
}

// Lost is how many events were overwritten before they were read. After Stop.
func (r *Recording) Lost() int { return r.lost }

// Replay plays it to new models of the devices, without the guest, and returns what `mimic replay` says; the test ends at the first
// difference. After Stop.
func (r *Recording) Replay() string {
	r.machine.t.Helper()
	done, err := r.machine.lab.command.run(10*time.Minute, nil, "replay", r.Path)
	r.machine.must(err)
	said := text(append(done.stdout, done.stderr...))
	if done.status != 0 {
		r.machine.t.Fatalf("`mimic replay`: %s", said)
	}
	return said
}

// ReadTrace reads a file of `mimic trace -o FILE.jsonl`: its events, and how many were overwritten before they were read. A file that
// was cut off is an error.
func ReadTrace(path string) (events Events, lost int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20) // an event has up to 64 KiB of DMA, in two letters a byte
	for number := 1; lines.Scan(); number++ {
		var mark struct {
			Trace *int `json:"mimic_trace"`
			End   bool
			Lost  int
		}
		line := append([]byte(nil), lines.Bytes()...)
		if json.Unmarshal(line, &mark) != nil || (number == 1) != (mark.Trace != nil) {
			return nil, 0, fmt.Errorf("%s: line %d: no trace of mimic's (mimic trace MACHINE -o FILE.jsonl)", path, number)
		}
		if mark.End {
			return events, mark.Lost, nil
		}
		if number == 1 {
			continue
		}
		event := Event{Raw: line}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, 0, fmt.Errorf("%s: line %d: %w", path, number, err)
		}
		events = append(events, event)
	}
	if err := lines.Err(); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return nil, 0, fmt.Errorf("%s: the last line is missing: the file was cut off", path)
}
