// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/mimic/tests/cluster/suite/harness"
)

// Driver is a mimic-dra in the background.
type Driver struct {
	*harness.Component
	Tree *Tree
	base []string
}

// CDIFolder is the one that containerd reads.
const CDIFolder = "/run/cdi"

// PluginFolder is where the driver keeps its socket and checkpoint.
const PluginFolder = harness.KubeletFolder + "/plugins/" + DriverName

// NewDriver describes a mimic-dra on a tree and does not start it. name is that of its log, node that of the node. It is the user
// "driver" for the API server, and is killed at the end of the test.
func NewDriver(t *testing.T, name, node string, tree *Tree, arguments ...string) *Driver {
	t.Helper()
	base := append([]string{"--node-name", node, "--root", tree.Root}, arguments...)
	if !slices.Contains(arguments, "--kubeconfig") {
		base = append(base, "--kubeconfig", filepath.Join(harness.Folder, "driver.conf"))
	}
	component, err := harness.NewComponent(name, "mimic-dra", base...)
	Must(t, err)
	t.Cleanup(component.Kill)
	return &Driver{component, tree, base}
}

// OnNode are the options of a driver beside the kubelet.
func OnNode(t *testing.T) []string {
	t.Helper()
	Must(t, os.MkdirAll(CDIFolder, 0o755))
	return []string{"--kubelet-dir", harness.KubeletFolder, "--cdi-dir", CDIFolder}
}

// Alone are the options of a driver without a kubelet: folders that nobody looks into.
func Alone(t *testing.T) []string {
	t.Helper()
	folder, err := os.MkdirTemp(harness.Folder, "alone")
	Must(t, err)
	for _, name := range []string{"kubelet/plugins", "kubelet/plugins_registry", "cdi"} {
		Must(t, os.MkdirAll(filepath.Join(folder, name), 0o755))
	}
	return []string{"--kubelet-dir", filepath.Join(folder, "kubelet"), "--cdi-dir", filepath.Join(folder, "cdi")}
}

// With changes the options of the next start to those of NewDriver and these.
func (d *Driver) With(arguments ...string) *Driver {
	d.Arguments = append(append([]string{}, d.base...), arguments...)
	return d
}

// Start starts it and, at the end of the test, says what it logged if the test failed.
func (d *Driver) Start(t *testing.T) *Driver {
	t.Helper()
	Must(t, d.Component.Start())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of %s:\n%s", d.Log, d.LogTail(25))
		}
	})
	return d
}

// Ends waits for the driver's own end, and returns how it was.
func (d *Driver) Ends(t *testing.T) string {
	t.Helper()
	state, err := d.WaitEnd(Limit)
	Must(t, err)
	return state
}

// Quit asks it to end and expects that it does so without a complaint.
func (d *Driver) Quit(t *testing.T) {
	t.Helper()
	if !d.Running() {
		t.Fatalf("%s has ended before it was asked to:\n%s", d.Name, d.LogTail(10))
	}
	Must(t, d.Signal(15))
	if state := d.Ends(t); state != "exit status 0" {
		t.Errorf("%s ends with %s", d.Name, state)
	}
}

// Logged waits for a line of the log since offset that has all of the texts.
func (d *Driver) Logged(t *testing.T, offset int64, texts ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("the log has %q", texts), func() error {
		text, err := os.ReadFile(d.Log)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(string(text[min(int64(len(text)), offset):]), "\n") {
			found := true
			for _, wanted := range texts {
				found = found && strings.Contains(line, wanted)
			}
			if found {
				return nil
			}
		}
		return fmt.Errorf("it ends with\n%s", d.LogTail(5))
	})
}

// Leftovers returns an error if files of prepared claims are left on the node: CDI specs, metadata, claims in the checkpoint.
func Leftovers() error {
	specs, _ := filepath.Glob(CDIFolder + "/*mock-accel*")
	if len(specs) > 0 {
		return fmt.Errorf("CDI files are left: %v", specs)
	}
	var files []string
	_ = filepath.WalkDir(filepath.Join(PluginFolder, "dra-device-metadata"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return nil
	})
	if len(files) > 0 {
		return fmt.Errorf("metadata files are left: %v", files)
	}
	text, err := os.ReadFile(filepath.Join(PluginFolder, "checkpoint.json"))
	if os.IsNotExist(err) {
		return nil
	}
	var checkpoint struct {
		Data struct{ Claims map[string]any }
	}
	if err == nil {
		err = json.Unmarshal(text, &checkpoint)
	}
	if err == nil && len(checkpoint.Data.Claims) > 0 {
		err = fmt.Errorf("the checkpoint has claims: %s", text)
	}
	return err
}

// WaitClean waits until nothing of any claim is left on the node and the devices (names in sysfs) are free.
func (d *Driver) WaitClean(t *testing.T, devices ...string) {
	t.Helper()
	Eventually(t, "nothing of a claim is left", func() error {
		for _, device := range devices {
			if err := d.Tree.Status(device, 0); err != nil {
				return err
			}
		}
		return Leftovers()
	})
}
