// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/mimic/tests/cluster/suite/harness"
)

// Tree is a simulated machine: the root folder that a driver gets as --root.
type Tree struct{ Root string }

// NewTree makes the tree of a topology file by `mimic tree`, with device nodes. It lies in the memory of the cluster and ends with it.
func NewTree(t *testing.T, file string, arguments ...string) *Tree {
	t.Helper()
	mimic, err := harness.Program("mimic")
	Must(t, err)
	Must(t, os.MkdirAll(harness.Folder+"/trees", 0o755))
	root, err := os.MkdirTemp(harness.Folder+"/trees", "tree")
	Must(t, err)
	output, err := exec.Command(mimic, append([]string{"tree", file, root}, arguments...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("mimic tree: %v: %s", err, output)
	}
	tree := &Tree{root}
	for _, name := range tree.Names(t) {
		tree.MakeNode(t, name)
	}
	return tree
}

// TopologyFile writes a topology file and returns its path.
func TopologyFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "machine.yaml")
	Must(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

// Names lists the class devices, as sysfs calls them.
func (tree *Tree) Names(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(tree.Root, "sys/class/mock-accel"))
	Must(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// File is the path of a class device's attribute.
func (tree *Tree) File(device, attribute string) string {
	return filepath.Join(tree.Root, "sys/class/mock-accel", device, attribute)
}

// MakeNode lets sysfs say that the device has a node in /dev, as a driver with char devices does. Its numbers are those of /dev/null; the
// container runtime makes the node in the container by the numbers alone.
func (tree *Tree) MakeNode(t *testing.T, device string) {
	t.Helper()
	Must(t, os.WriteFile(tree.File(device, "dev"), []byte("1:3\n"), 0o444))
	Must(t, os.WriteFile(tree.File(device, "uevent"), []byte("MAJOR=1\nMINOR=3\nDEVNAME="+device+"\n"), 0o644))
}

// Write writes an attribute as a device would show it, by one rename, so that nobody reads half of it.
func (tree *Tree) Write(t *testing.T, device, attribute, text string) {
	t.Helper()
	file := tree.File(device, attribute)
	Must(t, os.WriteFile(file+".new", []byte(text), 0o644))
	Must(t, os.Rename(file+".new", file))
}

// Status returns an error unless the status attribute has this value, however it is written.
func (tree *Tree) Status(device string, want uint32) error {
	text, err := os.ReadFile(tree.File(device, "status"))
	if err != nil {
		return err
	}
	var value uint32
	if _, err := fmt.Sscanf(strings.TrimSpace(string(text)), "%v", &value); err != nil {
		return fmt.Errorf("status of %s is %q: %w", device, text, err)
	}
	return Is("status of "+device, value, want)
}

// Remove takes a class device away, as the end of its driver does. It returns a function that brings it back.
func (tree *Tree) Remove(t *testing.T, device string) func() {
	t.Helper()
	link, aside := filepath.Join(tree.Root, "sys/class/mock-accel", device), filepath.Join(tree.Root, "sys/"+device+".aside")
	Must(t, os.Rename(link, aside))
	return func() { Must(t, os.Rename(aside, link)) }
}
