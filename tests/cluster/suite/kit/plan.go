// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"

	resourceapi "k8s.io/api/resource/v1"

	"example.com/mimic/tests/cluster/suite/harness"
)

// SlicesOf runs a program that prints a List of ResourceSlices, `mimic plan --format slices` or `mimic-dra --dry-run`.
func SlicesOf(t *testing.T, program string, arguments ...string) []resourceapi.ResourceSlice {
	t.Helper()
	path, err := harness.Program(program)
	Must(t, err)
	command := exec.Command(path, arguments...)
	output, err := command.Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("%s %v: %v", program, arguments, err)
	}
	var list struct{ Items []resourceapi.ResourceSlice }
	if err := json.Unmarshal(output, &list); err != nil {
		t.Fatalf("%s %v: %v: %s", program, arguments, err, output)
	}
	return list.Items
}

// Content is what a pool says, as JSON, one text a slice: without names, owners, generation, and times that the API server sets. The
// order of slices and devices counts.
func Content(t *testing.T, all []resourceapi.ResourceSlice) (texts []string) {
	t.Helper()
	for _, s := range all {
		spec := s.Spec.DeepCopy()
		spec.Pool.Generation = 0
		for i := range spec.Devices {
			for j := range spec.Devices[i].Taints {
				spec.Devices[i].Taints[j].TimeAdded = nil
			}
		}
		text, err := json.MarshalIndent(spec, "", " ")
		Must(t, err)
		texts = append(texts, string(text))
	}
	return texts
}

// SameContent fails the test unless two lists of slices say the same.
func SameContent(t *testing.T, what string, got, want []resourceapi.ResourceSlice) {
	t.Helper()
	a, b := Content(t, got), Content(t, want)
	if len(a) != len(b) {
		t.Fatalf("%s: %d slices, not %d", what, len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("%s: slice %d is\n%s\nnot\n%s", what, i, a[i], b[i])
		}
	}
}
