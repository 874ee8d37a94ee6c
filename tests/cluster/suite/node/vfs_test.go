// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/mimic/tests/cluster/suite/harness"
	"example.com/mimic/tests/cluster/suite/kit"
)

// hideVFs stands in for a PF's driver: VFs are there while sriov_numvfs says so.
func hideVFs(t *testing.T, tree *kit.Tree) {
	t.Helper()
	tree.Write(t, "mock0", "sriov_numvfs", "0\n")
	back := []func(){tree.Remove(t, "mock0_vf0"), tree.Remove(t, "mock0_vf1")}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		for shown := false; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
			text, err := os.ReadFile(tree.File("mock0", "sriov_numvfs"))
			wanted := err == nil && strings.TrimSpace(string(text)) == "2"
			switch {
			case err != nil || strings.TrimSpace(string(text)) == "" || wanted == shown:
				continue
			case wanted:
				back[0]()
				back[1]()
			default:
				back = []func(){tree.Remove(t, "mock0_vf0"), tree.Remove(t, "mock0_vf1")}
			}
			shown = wanted
		}
	}()
}

// VFs that are not there are published; a claim for one creates it, the end of the last such claim removes it.
func TestVFsOnDemand(t *testing.T) {
	tree := kit.NewTree(t, kit.TopologyFile(t, machine), "--numvfs", "2")
	hideVFs(t, tree)
	driver := kit.NewDriver(t, "mimic-dra", harness.NodeName, tree, append(kit.OnNode(t), "--vfs", "on-demand")...)
	t.Cleanup(func() {
		driver.Kill()
		removeState(t)
	})
	offset := driver.LogSize()
	driver.Start(t)
	known(t, driver, offset)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", vf("vf"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.Running(t, namespace, "pod")
	if environment := kit.Exec(t, namespace, "pod", "env"); !strings.Contains(environment, "NODE-A-VF-") {
		t.Errorf("the pod has no VF:\n%s", environment)
	}
	kit.Delete(t, namespace, "pod")
	kit.Gone(t, namespace, "pod")
	kit.Eventually(t, "the VFs are gone", func() error {
		text, err := os.ReadFile(tree.File("mock0", "sriov_numvfs"))
		if err != nil {
			return err
		}
		return kit.Is("sriov_numvfs", strings.TrimSpace(string(text)), "0")
	})
	kit.WaitPublished(t, harness.NodeName, all...)
	driver.WaitClean(t, "mock0")
}
