// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Registers is what the registers of a device held at one look, by name: "COMMAND", "BAR0.STATUS", "COMMAND.BUS_MASTER"; a name that
// several capabilities have needs its own in front, "Power Management/CONTROL".
type Registers struct {
	device string
	values map[string][]uint64
	places map[string][]string // of names that are not unique
}

type registerJSON struct {
	Name, Value string
	Fields      []struct{ Name, Value string }
}

type registersJSON struct {
	Device string
	Config struct {
		Sections []struct {
			Name      string
			Registers []registerJSON
		}
	}
	Bars []struct {
		Bar  int
		Maps []struct{ Registers []registerJSON }
	}
	State []struct {
		Name      string
		Registers []registerJSON
	}
}

func newRegisters(answer *registersJSON) (*Registers, error) {
	made := &Registers{answer.Device, map[string][]uint64{}, map[string][]string{}}
	for _, section := range answer.Config.Sections {
		if err := made.add("", section.Name, section.Registers); err != nil {
			return nil, err
		}
	}
	for _, bar := range answer.Bars {
		for _, part := range bar.Maps {
			if err := made.add(fmt.Sprintf("BAR%d.", bar.Bar), fmt.Sprintf("BAR%d", bar.Bar), part.Registers); err != nil {
				return nil, err
			}
		}
	}
	for _, part := range answer.State { // of a vhost-user device
		if err := made.add("", part.Name, part.Registers); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func (r *Registers) add(prefix, place string, registers []registerJSON) error {
	for _, register := range registers {
		r.places[prefix+register.Name] = append(r.places[prefix+register.Name], place+"/"+register.Name)
		for _, name := range []string{prefix + register.Name, place + "/" + register.Name} {
			if err := r.note(name, register.Value); err != nil {
				return err
			}
			for _, field := range register.Fields {
				if err := r.note(name+"."+field.Name, field.Value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *Registers) note(name, hexadecimal string) error {
	value, err := strconv.ParseUint(strings.TrimPrefix(hexadecimal, "0x"), 16, 64)
	if err != nil {
		return fmt.Errorf("mimictest: register %s of %s: %w", name, r.device, err)
	}
	r.values[name] = append(r.values[name], value)
	return nil
}

// Lookup returns a register or a field of one. The error says which names there are like that.
func (r *Registers) Lookup(name string) (uint64, error) {
	values := r.values[name]
	switch len(values) {
	case 1:
		return values[0], nil
	case 0:
		return 0, fmt.Errorf("mimictest: %s has no register %s; it has, among others: %s", r.device, name, strings.Join(r.like(name), ", "))
	}
	base := strings.SplitN(name, ".", 2)[0]
	return 0, fmt.Errorf("mimictest: %s has several registers %s; say which: %s", r.device, name, strings.Join(r.places[base], ", "))
}

// like is a few names with most letters of the beginning in common.
func (r *Registers) like(name string) []string {
	names := make([]string, 0, len(r.values))
	for known := range r.values {
		if !strings.Contains(known, "/") {
			names = append(names, known)
		}
	}
	common := func(other string) int {
		count := 0
		for count < len(name) && count < len(other) && name[count] == other[count] {
			count++
		}
		return count
	}
	sort.Slice(names, func(i, j int) bool {
		if a, b := common(names[i]), common(names[j]); a != b {
			return a > b
		}
		return names[i] < names[j]
	})
	if len(names) > 5 {
		names = names[:5]
	}
	return names
}
