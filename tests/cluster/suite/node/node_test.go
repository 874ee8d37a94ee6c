// SPDX-License-Identifier: Apache-2.0

// Tests of the driver on a node: a kubelet, containerd, the scheduler and real pods, with devices of a simulated sysfs tree.
package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	resourceapi "k8s.io/api/resource/v1"

	"example.com/mimic/tests/cluster/suite/harness"
	"example.com/mimic/tests/cluster/suite/kit"
)

func TestMain(m *testing.M) { kit.Main(m, start) }

func start(ctx context.Context) (*harness.Cluster, error) {
	cluster, err := harness.StartAPI(ctx)
	if err != nil {
		return nil, err
	}
	if err := cluster.StartControllers(ctx); err != nil {
		return nil, err
	}
	var images []string
	for _, name := range []string{"pause.tar", "busybox.tar"} {
		image, err := harness.Program(name)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	if err := cluster.StartNode(ctx, images...); err != nil {
		return nil, err
	}
	if err := cluster.WaitControllers(ctx); err != nil {
		return nil, err
	}
	if err := kit.Deploy(ctx, cluster); err != nil {
		return nil, err
	}
	if err := kit.MakeClass(ctx, cluster, kit.Class, kit.DriverName, nil); err != nil {
		return nil, err
	}
	return cluster, kit.MakeClass(ctx, cluster, "go-driver", "go.example.com", nil)
}

// The machine of these tests: mock0 with two VFs and mock1 on NUMA node 0, mock2 on node 1.
const machine = `version: 1
machine:
  name: node
  numa:
    - {cpus: 1, memory: 256M}
    - {cpus: 1, memory: 256M}
  devices:
    - {name: a, model: mock-accel, uuid: NODE-A, memory: 16G, numa_node: 0, vfs: {count: 2, memory: 2G, uuid: "NODE-A-VF-{index}"}}
    - {name: b, model: mock-accel, uuid: NODE-B, memory: 16G, numa_node: 0}
    - {name: c, model: mock-accel, uuid: NODE-C, memory: 8G, numa_node: 1}
`

var all = []string{"mock0", "mock0-vf0", "mock0-vf1", "mock1", "mock2"}

// begin starts a driver on a fresh tree and waits until its devices are published. At the end of the test it looks that the driver
// still ran, and that nothing is left.
func begin(t *testing.T, arguments ...string) *kit.Driver {
	t.Helper()
	tree := kit.NewTree(t, kit.TopologyFile(t, machine), "--numvfs", "2")
	driver := kit.NewDriver(t, "mimic-dra", harness.NodeName, tree, append(kit.OnNode(t), arguments...)...)
	t.Cleanup(func() {
		// Pods of the test have gone before this: namespaces are made later.
		if driver.Running() && !t.Failed() {
			driver.WaitClean(t, tree.Names(t)...)
			driver.Quit(t)
		}
		driver.Kill()
		removeState(t)
	})
	offset := driver.LogSize()
	driver.Start(t)
	known(t, driver, offset)
	return driver
}

// known waits until the driver's devices are published and the kubelet has it: a pod that comes earlier waits for the kubelet's next
// look at it, which takes a minute.
func known(t *testing.T, driver *kit.Driver, offset int64) {
	t.Helper()
	kit.WaitPublished(t, harness.NodeName, all...)
	driver.Logged(t, offset, "The kubelet knows driver")
}

// again starts the driver again after its end, with other options, and waits until the kubelet has it.
func again(t *testing.T, driver *kit.Driver, options ...string) {
	t.Helper()
	offset := driver.LogSize()
	kit.Must(t, driver.With(options...).Component.Start())
	known(t, driver, offset)
}

// removeState lets the next test begin as on a new node. A kubelet takes half a minute to remove slices of a driver that has gone.
func removeState(t *testing.T) {
	for _, pattern := range []string{kit.PluginFolder, harness.KubeletFolder + "/plugins_registry/" + kit.DriverName + "*", kit.CDIFolder + "/*"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if err := os.RemoveAll(file); err != nil {
				t.Error(err)
			}
		}
	}
	if err := kit.DeleteSlices(context.Background(), harness.NodeName); err != nil {
		t.Error(err)
	}
}

func pf(name string) resourceapi.DeviceRequest {
	return kit.Request(name, kit.Has("deviceType", `== "pf"`))
}

func vf(name string) resourceapi.DeviceRequest {
	return kit.Request(name, kit.Has("deviceType", `== "vf"`))
}

func uuid(name, uuid string) resourceapi.DeviceRequest {
	return kit.Request(name, kit.Has("uuid", fmt.Sprintf("== %q", uuid)))
}

// The cluster itself, with a driver on Kubernetes' own helper in place of ours.
func TestGoDriver(t *testing.T) {
	control := filepath.Join(t.TempDir(), "control.json")
	driver, err := harness.NewComponent("go-driver", "go-driver", "-driver", "go.example.com", "-node-name", harness.NodeName,
		"-kubeconfig", kit.Cluster.Kubeconfig, "-cdi-dir", kit.CDIFolder, "-control", control, "-partitions")
	kit.Must(t, err)
	kit.Must(t, driver.Start())
	t.Cleanup(driver.Kill)
	namespace := kit.Namespace(t, nil)
	request := kit.Request("accel", `device.driver == "go.example.com" && device.attributes["go.example.com"].deviceType == "pf"`)
	request.Exactly.DeviceClassName = "go-driver"
	kit.Claim(t, namespace, "one", request)
	kit.MakePod(t, namespace, "first", []string{"one"}, nil)
	kit.Running(t, namespace, "first")
	output := kit.Exec(t, namespace, "first", "sh", "-c", "env; ls /dev")
	device := strings.TrimPrefix(kit.Devices(t, namespace, "one")[0], "accel=")
	for _, wanted := range []string{"GO_DRIVER_DEVICE=" + device, "\n" + device} {
		if !strings.Contains(output, wanted) {
			t.Errorf("the container has no %q: %s", wanted, output)
		}
	}
	kit.Must(t, os.WriteFile(control, fmt.Appendf(nil, `{"taints":{%q:"NoExecute"}}`, device), 0o644))
	kit.Gone(t, namespace, "first")
}
