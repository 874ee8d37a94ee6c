// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"example.com/mimic/tests/cluster/suite/harness"
	"example.com/mimic/tests/cluster/suite/kit"
)

// A kubelet that starts removes all slices of its node and asks for all claims again. Pods do not notice.
func TestKubeletRestart(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	before := kit.Running(t, namespace, "pod")
	offset := driver.LogSize()
	kit.Must(t, kit.Cluster.Kubelet.Restart())
	kit.Must(t, kit.Cluster.WaitNode(t.Context()))
	kit.WaitPublished(t, harness.NodeName, all...)
	driver.Logged(t, offset, "The kubelet knows driver")
	kit.Claim(t, namespace, "next", uuid("accel", "NODE-C"))
	kit.MakePod(t, namespace, "next", []string{"next"}, nil)
	kit.Running(t, namespace, "next")
	after := kit.Running(t, namespace, "pod")
	kit.Must(t, kit.Is("container after the restart", after.Status.ContainerStatuses[0].ContainerID, before.Status.ContainerStatuses[0].ContainerID))
	kit.Must(t, driver.Tree.Status("mock1", 1))
	kit.Delete(t, namespace, "pod")
	kit.Delete(t, namespace, "next")
	kit.Gone(t, namespace, "pod")
	kit.Gone(t, namespace, "next")
	driver.WaitClean(t, "mock1", "mock2")
}

// prepareSteps and unprepareSteps are those of mimic-dra --crash-at that an existing device passes (kStepNames of dra/plugin/steps.h).
var prepareSteps = []string{"prepare-begin", "prepare-temporary", "prepare-started", "prepare-status-written", "prepare-metadata-written",
	"prepare-cdi-written", "prepare-completed"}
var unprepareSteps = []string{"unprepare-begin", "unprepare-cdi-removed", "unprepare-metadata-removed", "unprepare-status-cleared",
	"unprepare-forgotten"}

// The driver is killed at every step of preparing a claim; what it does when it comes back is enough for the pod to run.
func TestKilledWhilePreparing(t *testing.T) {
	driver := begin(t)
	for _, step := range prepareSteps {
		t.Run(step, func(t *testing.T) {
			driver.Kill()
			again(t, driver, "--crash-at", step)
			namespace := kit.Namespace(t, nil)
			kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
			kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
			if state := driver.Ends(t); state != "signal: killed" {
				t.Fatalf("the driver ends with %s", state)
			}
			again(t, driver)
			kit.Poke(t, namespace, "pod")
			kit.Running(t, namespace, "pod")
			kit.Must(t, driver.Tree.Status("mock1", 1))
			kit.Exec(t, namespace, "pod", "ls", "/dev/mock1")
			kit.Delete(t, namespace, "pod")
			kit.Gone(t, namespace, "pod")
			driver.WaitClean(t, "mock1")
		})
	}
}

// The driver is killed at every step of the way back.
func TestKilledWhileUnpreparing(t *testing.T) {
	driver := begin(t)
	for _, step := range unprepareSteps {
		t.Run(step, func(t *testing.T) {
			driver.Kill()
			again(t, driver, "--crash-at", step)
			namespace := kit.Namespace(t, nil)
			kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
			kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
			kit.Running(t, namespace, "pod")
			kit.Delete(t, namespace, "pod")
			if state := driver.Ends(t); state != "signal: killed" {
				t.Fatalf("the driver ends with %s", state)
			}
			again(t, driver)
			kit.Poke(t, namespace, "pod")
			kit.Gone(t, namespace, "pod")
			driver.WaitClean(t, "mock1")
		})
	}
}

// The driver starts while the API server is away, and the pod that waits for it runs when it is back.
func TestAPIServerAway(t *testing.T) {
	driver := begin(t)
	driver.Quit(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.HasEvent(t, namespace, "pod", "FailedPrepareDynamicResources")
	kit.Cluster.API.Kill()
	offset := driver.LogSize()
	kit.Must(t, driver.Component.Start())
	// It says what it cannot reach, and neither ends nor spins.
	driver.Logged(t, offset, harness.Address)
	kit.Must(t, kit.Cluster.API.Start())
	kit.Must(t, kit.Cluster.WaitAPI(t.Context()))
	known(t, driver, offset)
	kit.Poke(t, namespace, "pod")
	kit.Running(t, namespace, "pod")
	kit.Delete(t, namespace, "pod")
	kit.Gone(t, namespace, "pod")
	driver.WaitClean(t, "mock1")
}

// A rolling update: the new instance starts beside the old one; no slice goes, and each may get the other's claims.
func TestRollingUpdate(t *testing.T) {
	old := begin(t, "--pod-uid", "11111111-1111-1111-1111-111111111111")
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.Running(t, namespace, "pod")
	before, err := kit.Slices(t.Context(), kit.DriverName, harness.NodeName)
	kit.Must(t, err)

	young := kit.NewDriver(t, "mimic-dra-new", harness.NodeName, old.Tree,
		append(kit.OnNode(t), "--pod-uid", "22222222-2222-2222-2222-222222222222")...)
	offset := kit.Cluster.Kubelet.LogSize()
	young.Start(t)
	// The kubelet has both before the old one goes, as a DaemonSet with maxSurge waits for readiness.
	kit.Eventually(t, "the new instance's sockets are there", func() error {
		_, err := os.Stat(harness.KubeletFolder + "/plugins_registry/" + kit.DriverName + "-22222222-2222-2222-2222-222222222222-reg.sock")
		return err
	})
	kit.Eventually(t, "the kubelet knows the new instance", func() error {
		text, err := os.ReadFile(kit.Cluster.Kubelet.Log)
		if err == nil && !strings.Contains(string(text[offset:]), "22222222-2222-2222-2222-222222222222") {
			err = fmt.Errorf("its log does not name it")
		}
		return err
	})
	kit.Claim(t, namespace, "between", uuid("accel", "NODE-C"))
	kit.MakePod(t, namespace, "between", []string{"between"}, nil)
	kit.Running(t, namespace, "between")
	old.Quit(t)
	// What the old one prepared, the new one takes back.
	kit.Delete(t, namespace, "pod")
	kit.Gone(t, namespace, "pod")
	kit.Must(t, old.Tree.Status("mock1", 0))
	kit.MakePod(t, namespace, "next", []string{"claim"}, nil)
	kit.Running(t, namespace, "next")
	after, err := kit.Slices(t.Context(), kit.DriverName, harness.NodeName)
	kit.Must(t, err)
	kit.Must(t, kit.Is("number of slices", len(after), len(before)))
	for i := range after {
		kit.Must(t, kit.Is("slice after the update", after[i].UID, before[i].UID))
	}
	kit.Delete(t, namespace, "next")
	kit.Delete(t, namespace, "between")
	kit.Gone(t, namespace, "next")
	kit.Gone(t, namespace, "between")
	young.WaitClean(t, "mock1", "mock2")
	young.Quit(t)
}
