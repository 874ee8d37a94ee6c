// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"example.com/mimic/tests/cluster/suite/harness"
	"example.com/mimic/tests/cluster/suite/kit"
)

// podOf returns namespace and name of the pod in a file.
func podOf(t *testing.T, file string) (namespace, pod string) {
	t.Helper()
	text, err := os.ReadFile(file)
	kit.Must(t, err)
	for _, document := range kit.Documents(string(text)) {
		var object metav1.PartialObjectMetadata
		kit.Must(t, yaml.Unmarshal([]byte(document), &object))
		if object.Kind == "Pod" {
			return cmp.Or(object.Namespace, "default"), object.Name
		}
	}
	t.Fatalf("%s has no pod", file)
	return "", ""
}

// Every example of examples/kubernetes runs, and its pod sees its devices.
func TestExamples(t *testing.T) {
	driver := begin(t)
	// The other driver of cross-driver.yaml.
	other, err := harness.NewComponent("nic-driver", "go-driver", "-driver", "nic.example.com", "-node-name", harness.NodeName,
		"-kubeconfig", kit.Cluster.Kubeconfig, "-cdi-dir", kit.CDIFolder, "-pcie-root", "pci0000:10")
	kit.Must(t, err)
	kit.Must(t, other.Start())
	t.Cleanup(other.Kill)
	kit.Must(t, kit.MakeClass(t.Context(), kit.Cluster, "nic.example.com", "nic.example.com", nil))
	files, err := filepath.Glob(kit.Source("examples/kubernetes/*.yaml"))
	kit.Must(t, err)
	if len(files) < 5 {
		t.Fatalf("examples are %v", files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			namespace, pod := podOf(t, file)
			apply(t, file)
			kit.Running(t, namespace, pod)
			environment := kit.Exec(t, namespace, pod, "env")
			if !strings.Contains(environment, "MOCK_ACCEL") {
				t.Errorf("the pod has no device:\n%s", environment)
			}
			kit.Delete(t, namespace, pod)
			kit.Gone(t, namespace, pod)
			driver.WaitClean(t, driver.Tree.Names(t)...)
		})
	}
}

// apply applies a file, and removes its objects at the end of the test.
func apply(t *testing.T, file string) {
	t.Helper()
	_, err := kit.Cluster.Kubectl(t.Context(), "apply", "-f", file)
	kit.Must(t, err)
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if _, err := kit.Cluster.Kubectl(context.Background(), "delete", "--wait=false", "-f", file); err != nil && t.Failed() {
			t.Log(err)
		}
	})
}
