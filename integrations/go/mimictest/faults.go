// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// FaultOptions of Machine.Inject; the zero value strikes at once, as often as the fault's default says (docs/faults.md).
type FaultOptions struct {
	Count    int           // how often it strikes; 0: the fault's default
	Delay    time.Duration // of the faults that have one; 0: the fault's default
	Vector   *int          // of interrupts; nil: any
	Severity string        // "fatal" or "nonfatal", of AER errors; "": as the guest has set it
	At       time.Duration // strikes so long from now
	After    int           // serves so many accesses as ever before it strikes; not together with At
	Seed     int           // of wrong bytes; 0: the default
}

// Vector is for FaultOptions: mimictest.FaultOptions{Vector: mimictest.Vector(0)}.
func Vector(number int) *int { return &number }

type faultJSON struct {
	ID      int `json:"id"`
	Fault   string
	State   string
	Strikes int
	Note    string
}

type faultListJSON struct{ Faults []faultJSON }

// Fault is one that was injected. It ends with Clear, or with the test.
type Fault struct {
	machine *Machine
	device  string
	path    string
	last    faultJSON
}

func (o FaultOptions) body(name string) map[string]any {
	options := map[string]any{}
	if o.Count != 0 {
		options["count"] = o.Count
	}
	if o.Delay != 0 {
		options["delay"] = fmt.Sprintf("%dus", o.Delay.Microseconds())
	}
	if o.Vector != nil {
		options["vector"] = *o.Vector
	}
	if o.Severity != "" {
		options["severity"] = o.Severity
	}
	body := map[string]any{"fault": name, "options": options}
	if o.At != 0 {
		body["at_us"] = o.At.Microseconds()
	}
	if o.After != 0 {
		body["after_accesses"] = o.After
	}
	if o.Seed != 0 {
		body["seed"] = o.Seed
	}
	return body
}

// Inject lets something go wrong with a device, until Fault.Clear or the end of the test. At most one FaultOptions. It returns of
// host-crash and host-hang that wait for nothing once they have struck; others strike before they are answered.
func (m *Machine) Inject(device, name string, options ...FaultOptions) *Fault {
	m.t.Helper()
	fault, err := m.inject(device, name, options...)
	m.must(err)
	m.t.Cleanup(func() {
		// A device that is gone by now (host-crash, remove) has no faults.
		_ = fault.clear()
	})
	if (name == "host-crash" || name == "host-hang") && (len(options) == 0 || options[0].At == 0 && options[0].After == 0) {
		// They strike a moment after the answer: their process is to give that first. Clear would take them back.
		fault.WaitStruck(1)
	}
	return fault
}

func (m *Machine) inject(device, name string, options ...FaultOptions) (*Fault, error) {
	var chosen FaultOptions
	if len(options) > 0 {
		chosen = options[0]
	}
	path, err := machinePath(m.name, "devices", device, "faults")
	if err != nil {
		return nil, err
	}
	control, err := m.lab.api()
	if err != nil {
		return nil, err
	}
	var answer faultListJSON
	err = control.exchange("POST", path, nil, chosen.body(name), &answer)
	if refused, ok := err.(*APIError); ok && name == "host-crash" && refused.Code == "host_ended" {
		// Who was to answer has just been killed, as was asked for.
		return &Fault{m, device, path, faultJSON{ID: -1, Fault: name, State: "done", Strikes: 1}}, nil
	}
	if err != nil {
		return nil, err
	}
	made := faultJSON{ID: -1}
	for _, one := range answer.Faults {
		if one.ID > made.ID {
			made = one
		}
	}
	return &Fault{m, device, path, made}, nil
}

// look asks what has become of it. Of one that is not listed any more, what was known stays.
func (f *Fault) look() error {
	control, err := f.machine.lab.api()
	if err != nil {
		return err
	}
	var answer faultListJSON
	if err := control.get(f.path, nil, &answer); f.struckBy(err) {
		f.last.Strikes, f.last.State = 1, map[string]string{"host-crash": "done", "host-hang": "active"}[f.last.Fault]
		return nil
	} else if err != nil {
		return err
	}
	for _, one := range answer.Faults {
		if one.ID == f.last.ID {
			f.last = one
		}
	}
	return nil
}

// struckBy says whether an error shows that a fault of a device's process struck: who was to answer is dead, or hangs, as was asked for.
func (f *Fault) struckBy(err error) bool {
	refused, ok := err.(*APIError)
	if !ok {
		return false
	}
	// Its socket is there until the supervisor has seen its end; then no process knows the device.
	gone := refused.Code == "host_ended" || refused.Code == "unknown_device" ||
		refused.Code == "unreachable" && strings.Contains(refused.Message, "nobody listens")
	return f.last.Fault == "host-crash" && gone || f.last.Fault == "host-hang" && refused.Code == "unreachable" && !gone
}

func (f *Fault) clear() error {
	if f.last.ID < 0 {
		return nil
	}
	control, err := f.machine.lab.api()
	if err == nil {
		_, err = control.request("DELETE", f.path, url.Values{"id": {strconv.Itoa(f.last.ID)}}, nil)
	}
	if f.struckBy(err) {
		return nil
	}
	return err
}

// State is armed, active, done or cleared.
func (f *Fault) State() string {
	f.machine.t.Helper()
	f.machine.must(f.look())
	return f.last.State
}

// Strikes is how often it has struck until now.
func (f *Fault) Strikes() int {
	f.machine.t.Helper()
	f.machine.must(f.look())
	return f.last.Strikes
}

// WaitStruck waits until it has struck so often.
func (f *Fault) WaitStruck(times int) {
	f.machine.t.Helper()
	f.machine.WaitFor(fmt.Sprintf("%s of %s strikes %d times", f.last.Fault, f.device, times), func() bool { return f.Strikes() >= times })
}

// Clear ends it. One that has ended by itself is no error.
func (f *Fault) Clear() {
	f.machine.t.Helper()
	f.machine.must(f.clear())
}
