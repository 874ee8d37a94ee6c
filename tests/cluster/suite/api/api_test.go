// SPDX-License-Identifier: Apache-2.0

// Tests of what the driver publishes, against etcd and an API server without any node.
package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"example.com/mimic/tests/cluster/suite/harness"
	"example.com/mimic/tests/cluster/suite/kit"
)

func TestMain(m *testing.M) { kit.Main(m, start) }

func start(ctx context.Context) (*harness.Cluster, error) {
	cluster, err := harness.StartAPI(ctx)
	if err != nil {
		return nil, err
	}
	return cluster, kit.Deploy(ctx, cluster)
}

// node makes a Node object, as a kubelet does, and removes it and its slices at the end of the test.
func node(t *testing.T, name string) *corev1.Node {
	t.Helper()
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	made, err := kit.Cluster.Client.CoreV1().Nodes().Create(t.Context(), object, metav1.CreateOptions{})
	kit.Must(t, err)
	t.Cleanup(func() {
		ctx := context.Background()
		_ = kit.Cluster.Client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
		_ = kit.DeleteSlices(ctx, name)
	})
	return made
}

// run starts a driver without a kubelet.
func run(t *testing.T, node string, tree *kit.Tree, arguments ...string) *kit.Driver {
	t.Helper()
	driver := kit.NewDriver(t, "mimic-dra-"+node, node, tree, append(kit.Alone(t), arguments...)...).Start(t)
	t.Cleanup(func() {
		if !t.Failed() {
			driver.Quit(t)
		}
	})
	return driver
}

// machine is a file of `count` devices, the first with `vfs` VFs.
func machine(t *testing.T, name string, count, vfs int) string {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "version: 1\nmachine:\n  name: %s\n  numa:\n    - {cpus: 1, memory: 256M}\n  devices:\n", name)
	for i := range count {
		fmt.Fprintf(&text, "    - {name: d%d, model: mock-accel, uuid: %s-%d, numa_node: 0", i, strings.ToUpper(name), i)
		if i == 0 && vfs > 0 {
			fmt.Fprintf(&text, ", vfs: {count: %d, memory: 2G, uuid: \"VF-{index}\"}", vfs)
		}
		text.WriteString("}\n")
	}
	return kit.TopologyFile(t, text.String())
}

func names(count int) (out []string) {
	for i := range count {
		out = append(out, fmt.Sprintf("mock%d", i))
	}
	return out
}

func stored(t *testing.T, node string) []resourceapi.ResourceSlice {
	t.Helper()
	all, err := kit.Slices(t.Context(), kit.DriverName, node)
	kit.Must(t, err)
	return all
}

// One file: what `mimic plan` says of it, what a dry run of the driver on its tree says, and what the API server stores.
func TestPlanDryRunAndStored(t *testing.T) {
	for _, example := range []struct {
		file, numvfs string
		devices      string
	}{
		{"dual-numa", "0", "mock0 mock1"},
		{"sriov-static", "3", "mock0 mock0-vf0 mock0-vf1 mock0-vf2"},
		{"fabric-sriov", "2", ""},
		{"switch-tree", "0", ""},
	} {
		t.Run(example.file, func(t *testing.T) {
			file := kit.Source("examples", example.file+".yaml")
			planned := kit.SlicesOf(t, "mimic", "plan", file, "--format", "slices", "--numvfs", example.numvfs)
			name := planned[0].Spec.Pool.Name
			tree := kit.NewTree(t, file, "--numvfs", example.numvfs)
			dry := kit.SlicesOf(t, "mimic-dra", append(kit.Alone(t), "--dry-run", "--node-name", name, "--root", tree.Root)...)
			kit.SameContent(t, "the dry run beside the plan", dry, planned)
			owner := node(t, name)
			run(t, name, tree)
			var devices []string
			for _, s := range planned {
				for _, device := range s.Spec.Devices {
					devices = append(devices, device.Name)
				}
			}
			if example.devices != "" {
				kit.Must(t, kit.Is("list of the plan's devices", strings.Join(devices, " "), example.devices))
			}
			kit.WaitPublished(t, name, devices...)
			all := stored(t, name)
			kit.SameContent(t, "what is stored beside the plan", all, planned)
			for _, s := range all {
				if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].UID != owner.UID || s.OwnerReferences[0].Kind != "Node" ||
					s.OwnerReferences[0].Controller == nil || !*s.OwnerReferences[0].Controller {
					t.Errorf("owner of slice %s is %+v", s.Name, s.OwnerReferences)
				}
				kit.Must(t, kit.Is("node of the slice", *s.Spec.NodeName, name))
			}
		})
	}
}

// Without the Node there is nobody to own slices: the driver waits, and publishes once the node is there.
func TestNodeComesLater(t *testing.T) {
	driver := run(t, "later", kit.NewTree(t, machine(t, "later", 1, 0)))
	driver.Logged(t, 0, "later")
	kit.Must(t, kit.Is("number of slices", len(stored(t, "later")), 0))
	node(t, "later")
	kit.WaitPublished(t, "later", "mock0")
}

// The largest slices: 128 devices on each of two nodes, whose names are the same and do not meet.
func TestLimits(t *testing.T) {
	for _, name := range []string{"large1", "large2"} {
		node(t, name)
		run(t, name, kit.NewTree(t, machine(t, name, 128, 0)))
	}
	for _, name := range []string{"large1", "large2"} {
		devices := kit.WaitPublished(t, name, names(128)...)
		uuid := devices["mock127"].Attributes[kit.DriverName+"/uuid"].StringValue
		if uuid == nil || *uuid != strings.ToUpper(name)+"-127" {
			t.Errorf("uuid of the last device of %s is %v", name, uuid)
		}
		kit.Must(t, kit.Is("number of slices", len(stored(t, name)), 1))
	}
}

// Counters and taints halve the limit: the pool is split, and is whole again after each change.
func TestSplitting(t *testing.T) {
	node(t, "split")
	tree := kit.NewTree(t, machine(t, "split", 126, 2), "--numvfs", "2")
	run(t, "split", tree)
	devices := append(names(126), "mock0-vf0", "mock0-vf1")
	kit.WaitPublished(t, "split", devices...)
	all := stored(t, "split")
	largest := 0
	for _, s := range all {
		counted := false
		for _, device := range s.Spec.Devices {
			counted = counted || len(device.ConsumesCounters) > 0 || len(device.Taints) > 0
		}
		if counted {
			largest = max(largest, len(s.Spec.Devices))
		}
	}
	if len(all) < 3 || largest > 64 {
		t.Errorf("%d slices, one with counters has %d devices", len(all), largest)
	}
	// A taint on what was in a slice without any.
	tree.Write(t, "mock125", "status", "0x40000000\n")
	kit.WaitTaints(t, "split", "mock125", "degraded:NoSchedule")
	kit.WaitPublished(t, "split", devices...)
}

// One slice that changes keeps the generation (an update is atomic). A slice more gives all of them a new one, so that nobody takes
// half of the new pool for a whole old one.
func TestGeneration(t *testing.T) {
	node(t, "gen")
	tree := kit.NewTree(t, machine(t, "gen", 3, 2), "--numvfs", "2")
	back := []func(){tree.Remove(t, "mock0_vf0"), tree.Remove(t, "mock0_vf1")}
	run(t, "gen", tree)
	kit.WaitPublished(t, "gen", names(3)...)
	before := stored(t, "gen")
	tree.Write(t, "mock1", "status", "0x80000000\n")
	kit.WaitTaints(t, "gen", "mock1", "failed:NoExecute")
	after := stored(t, "gen")
	kit.Must(t, kit.Is("generation after a taint", after[0].Spec.Pool.Generation, before[0].Spec.Pool.Generation))
	tree.Write(t, "mock1", "status", "0x00000000\n")
	kit.WaitTaints(t, "gen", "mock1")
	// VFs bring counters, which are a slice of their own.
	for _, restore := range back {
		restore()
	}
	everything := append(names(3), "mock0-vf0", "mock0-vf1")
	kit.WaitPublished(t, "gen", everything...)
	more := stored(t, "gen")
	kit.Must(t, kit.Is("number of slices", len(more), len(before)+1))
	if more[0].Spec.Pool.Generation <= before[0].Spec.Pool.Generation {
		t.Errorf("generation is %d after %d", more[0].Spec.Pool.Generation, before[0].Spec.Pool.Generation)
	}
	tree.Remove(t, "mock0_vf0")
	tree.Remove(t, "mock0_vf1")
	kit.WaitPublished(t, "gen", names(3)...)
	kit.Must(t, kit.Is("number of slices", len(stored(t, "gen")), len(before)))
}

// Devices come and go; a pool without any is one empty slice, which says that the driver lives.
func TestComingAndGoing(t *testing.T) {
	node(t, "hotplug")
	tree := kit.NewTree(t, machine(t, "hotplug", 2, 0))
	run(t, "hotplug", tree)
	kit.WaitPublished(t, "hotplug", names(2)...)
	first, second := tree.Remove(t, "mock0"), tree.Remove(t, "mock1")
	kit.WaitPublished(t, "hotplug")
	kit.Must(t, kit.Is("number of slices", len(stored(t, "hotplug")), 1))
	second()
	kit.WaitPublished(t, "hotplug", "mock1")
	first()
	kit.WaitPublished(t, "hotplug", names(2)...)
}
