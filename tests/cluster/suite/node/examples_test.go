// SPDX-License-Identifier: Apache-2.0

package node

import (
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

// forThisNode returns the documents of an example with pods on the node's network, the only one here, and the names of namespace and pod.
func forThisNode(t *testing.T, text string) (out, namespace, pod string) {
	t.Helper()
	namespace = "default"
	for _, document := range kit.Documents(text) {
		var object struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
		}
		kit.Must(t, yaml.Unmarshal([]byte(document), &object))
		if object.Kind == "Pod" {
			pod = object.Name
			if object.Namespace != "" {
				namespace = object.Namespace
			}
			document = strings.Replace(document, "\nspec:\n", "\nspec:\n  hostNetwork: true\n", 1)
		}
		out += "---\n" + document + "\n"
	}
	return out, namespace, pod
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
			text, err := os.ReadFile(file)
			kit.Must(t, err)
			changed, namespace, pod := forThisNode(t, string(text))
			local := filepath.Join(t.TempDir(), "example.yaml")
			kit.Must(t, os.WriteFile(local, []byte(changed), 0o644))
			apply(t, local)
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
