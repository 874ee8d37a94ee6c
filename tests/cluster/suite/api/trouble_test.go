// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"example.com/mimic/tests/cluster/suite/kit"
)

// Whoever removes, changes or adds slices of the driver's: it makes them right again.
func TestForeignChanges(t *testing.T) {
	node(t, "foreign")
	run(t, "foreign", kit.NewTree(t, machine(t, "foreign", 2, 0)))
	kit.WaitPublished(t, "foreign", names(2)...)
	before := stored(t, "foreign")
	// What a kubelet does that starts.
	kit.Must(t, kit.DeleteSlices(t.Context(), "foreign"))
	kit.WaitPublished(t, "foreign", names(2)...)
	if again := stored(t, "foreign"); again[0].UID == before[0].UID {
		t.Error("the slice was not removed")
	}
	// Another's edit.
	kit.Eventually(t, "an edit is accepted", func() error {
		edited := stored(t, "foreign")[0]
		edited.Spec.Devices = edited.Spec.Devices[:1]
		_, err := kit.Cluster.Client.ResourceV1().ResourceSlices().Update(t.Context(), &edited, metav1.UpdateOptions{})
		return err
	})
	kit.WaitPublished(t, "foreign", names(2)...)
	// A slice of an older life, and one of a pool that was called otherwise.
	for _, pool := range []string{"foreign", "renamed"} {
		stale := stored(t, "foreign")[0].DeepCopy()
		stale.ObjectMeta = metav1.ObjectMeta{Name: "stale-" + pool}
		stale.Spec.Pool = resourceapi.ResourcePool{Name: pool, Generation: 0, ResourceSliceCount: 1}
		_, err := kit.Cluster.Client.ResourceV1().ResourceSlices().Create(t.Context(), stale, metav1.CreateOptions{})
		kit.Must(t, err)
		kit.Eventually(t, "the stale slice of pool "+pool+" goes", func() error {
			_, err := kit.Cluster.Client.ResourceV1().ResourceSlices().Get(t.Context(), stale.Name, metav1.GetOptions{})
			if err == nil {
				return fmt.Errorf("it is there")
			}
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	}
	kit.WaitPublished(t, "foreign", names(2)...)
}

// The API server restarts: what changed meanwhile, on either side, is right afterwards. The driver stands still while
// the server loses its memory of changes, so that its watch goes on from a version that the new server knows nothing of.
func TestServerRestart(t *testing.T) {
	node(t, "restart")
	tree := kit.NewTree(t, machine(t, "restart", 2, 0))
	driver := run(t, "restart", tree)
	kit.WaitPublished(t, "restart", names(2)...)
	kit.Must(t, driver.Signal(syscall.SIGSTOP))
	kit.Must(t, kit.DeleteSlices(t.Context(), "restart"))
	for i := range 20 {
		text := fmt.Appendf(nil, `{"metadata":{"annotations":{"n":"%d"}}}`, i)
		_, err := kit.Cluster.Client.CoreV1().Nodes().Patch(t.Context(), "restart", "application/merge-patch+json", text, metav1.PatchOptions{})
		kit.Must(t, err)
	}
	tree.Write(t, "mock1", "status", "0x40000000\n")
	kit.Must(t, kit.Cluster.API.Restart())
	kit.Must(t, kit.Cluster.WaitAPI(t.Context()))
	kit.Must(t, driver.Signal(syscall.SIGCONT))
	kit.WaitTaints(t, "restart", "mock1", "degraded:NoSchedule")
	kit.WaitPublished(t, "restart", names(2)...)
	// And changes while it is away for longer.
	kit.Cluster.API.Kill()
	tree.Write(t, "mock1", "status", "0x00000000\n")
	tree.Write(t, "mock0", "status", "0x80000000\n")
	kit.Must(t, kit.Cluster.API.Start())
	kit.Must(t, kit.Cluster.WaitAPI(t.Context()))
	kit.WaitTaints(t, "restart", "mock0", "failed:NoExecute")
	kit.WaitTaints(t, "restart", "mock1")
}

// Attributes that lie: what the API would refuse is left out, and the other devices are published.
func TestHostileAttributes(t *testing.T) {
	node(t, "hostile")
	tree := kit.NewTree(t, machine(t, "hostile", 8, 0))
	long := strings.Repeat("x", 100_000)
	for device, lies := range map[string]map[string]string{
		"mock0": {"uuid": long},
		"mock1": {"uuid": "\x00\x01\xff\xfe\x1b[31m\n"},
		"mock2": {"memory_size": "-1\n"},
		"mock3": {"memory_size": "99999999999999999999999999\n", "fw_version": "1.0\n"},
		"mock4": {"numa_node": "2147483648\n", "capabilities": "yes\n"},
		"mock5": {"status": long},
		"mock6": {"dev": "../../../etc/passwd\n"},
	} {
		for attribute, text := range lies {
			tree.Write(t, device, attribute, text)
		}
	}
	kit.Must(t, os.Remove(tree.File("mock2", "status")))
	for _, name := range []string{"mock", "mock01", "mock9_vf", "mock-1", "MOCK7", "mock8\n", strings.Repeat("mock8", 40)} {
		_ = os.Symlink(tree.File("mock7", "."), tree.File("", name))
	}
	driver := run(t, "hostile", tree)
	devices := map[string]resourceapi.Device{}
	kit.Eventually(t, "the honest device is published", func() (err error) {
		if devices, err = kit.Published(t.Context(), kit.DriverName, "hostile"); err != nil {
			return err
		}
		if value := devices["mock7"].Attributes[kit.DriverName+"/uuid"].StringValue; value == nil || *value != "HOSTILE-7" {
			return fmt.Errorf("devices are %v", devices)
		}
		return nil
	})
	for _, name := range []string{"mock0", "mock1"} {
		if value := devices[name].Attributes[kit.DriverName+"/uuid"].StringValue; value != nil {
			t.Errorf("uuid of %s is %q", name, *value)
		}
	}
	if !driver.Running() {
		t.Error("the driver has ended")
	}
}

// A dry run touches nothing: no API server is needed, no socket is made.
func TestDryRunNeedsNoServer(t *testing.T) {
	tree := kit.NewTree(t, machine(t, "dry", 1, 0))
	options := kit.Alone(t)
	got := kit.SlicesOf(t, "mimic-dra", append(options, "--dry-run", "--node-name", "dry", "--root", tree.Root,
		"--kubeconfig", "/nonexistent")...)
	kit.Must(t, kit.Is("number of devices", len(got[0].Spec.Devices), 1))
	for i, option := range options {
		if option == "--kubelet-dir" {
			for _, folder := range []string{"/plugins", "/plugins_registry"} {
				entries, err := os.ReadDir(options[i+1] + folder)
				kit.Must(t, err)
				kit.Must(t, kit.Is("number of entries of "+folder, len(entries), 0))
			}
		}
	}
}
