// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"example.com/mimic/tests/cluster/suite/harness"
	"example.com/mimic/tests/cluster/suite/kit"
)

// A device that says that it failed: its taint evicts the pod, nobody gets the device, and it comes back when it is well.
func TestFailedDeviceEvicts(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.Running(t, namespace, "pod")
	driver.Tree.Write(t, "mock1", "status", "0x80000001\n")
	kit.WaitTaints(t, harness.NodeName, "mock1", "failed:NoExecute")
	kit.Gone(t, namespace, "pod")
	kit.MakePod(t, namespace, "next", []string{"claim"}, nil)
	kit.Unschedulable(t, namespace, "next")
	driver.Tree.Write(t, "mock1", "status", "0x00000000\n")
	kit.WaitTaints(t, harness.NodeName, "mock1")
	kit.Running(t, namespace, "next")
}

// A degraded device keeps its pod and gets no other, except one that tolerates it.
func TestDegradedDevice(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.Running(t, namespace, "pod")
	driver.Tree.Write(t, "mock1", "status", "0x40000001\n")
	kit.WaitTaints(t, harness.NodeName, "mock1", "degraded:NoSchedule")
	kit.Delete(t, namespace, "pod")
	kit.Gone(t, namespace, "pod")
	tolerant := uuid("accel", "NODE-B")
	tolerant.Exactly.Tolerations = []resourceapi.DeviceToleration{{Key: kit.DriverName + "/degraded",
		Operator: resourceapi.DeviceTolerationOpExists, Effect: resourceapi.DeviceTaintEffectNoSchedule}}
	kit.Claim(t, namespace, "again", uuid("accel", "NODE-B"))
	kit.Claim(t, namespace, "tolerant", tolerant)
	kit.MakePod(t, namespace, "again", []string{"again"}, nil)
	kit.Unschedulable(t, namespace, "again")
	kit.MakePod(t, namespace, "tolerant", []string{"tolerant"}, nil)
	kit.Running(t, namespace, "tolerant")
	kit.Delete(t, namespace, "tolerant")
	kit.Gone(t, namespace, "tolerant")
	driver.Tree.Write(t, "mock1", "status", "0x00000000\n")
	kit.Running(t, namespace, "again")
}

func health(pod *corev1.Pod) (out []string) {
	for _, container := range pod.Status.ContainerStatuses {
		for _, allocated := range container.AllocatedResourcesStatus {
			for _, resource := range allocated.Resources {
				out = append(out, string(resource.Health))
				if resource.Message != nil {
					out = append(out, *resource.Message)
				}
			}
		}
	}
	return out
}

// The pod's status says how its device is.
func TestHealthInPodStatus(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.Running(t, namespace, "pod")
	is := func(wanted ...string) {
		t.Helper()
		kit.Eventually(t, fmt.Sprintf("health in the pod's status is %q", wanted), func() error {
			pod, err := kit.GetPod(t.Context(), namespace, "pod")
			if err != nil {
				return err
			}
			text := strings.Join(health(pod), " ")
			for _, word := range wanted {
				if !strings.Contains(text, word) {
					return fmt.Errorf("it is %q", text)
				}
			}
			return nil
		})
	}
	is("Healthy")
	driver.Tree.Write(t, "mock1", "status", "0x40000001\n")
	is("Unhealthy", "degraded")
	driver.Tree.Write(t, "mock1", "status", "0x00000001\n")
	is("Healthy")
}

// A device that goes while a pod has it, and comes back.
func TestDeviceGoes(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.Running(t, namespace, "pod")
	back := driver.Tree.Remove(t, "mock1")
	kit.WaitPublished(t, harness.NodeName, "mock0", "mock0-vf0", "mock0-vf1", "mock2")
	kit.Delete(t, namespace, "pod")
	kit.Gone(t, namespace, "pod")
	driver.WaitClean(t)
	back()
	kit.WaitPublished(t, harness.NodeName, all...)
	driver.Tree.Write(t, "mock1", "status", "0x00000000\n")
	kit.MakePod(t, namespace, "next", []string{"claim"}, nil)
	kit.Running(t, namespace, "next")
}

// Parameters that make no sense: the pod's event says what is wrong, and others are served.
func TestMalformedParameters(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	configured := func(name, device, parameters string) {
		kit.MakeClaim(t, namespace, name, resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{uuid("accel", device)},
			Config: []resourceapi.DeviceClaimConfiguration{{DeviceConfiguration: resourceapi.DeviceConfiguration{
				Opaque: &resourceapi.OpaqueDeviceConfiguration{Driver: kit.DriverName, Parameters: runtime.RawExtension{Raw: []byte(parameters)}}}}}})
	}
	kind := `"apiVersion":"` + kit.DriverName + `/v1alpha1","kind":"DeviceParameters"`
	configured("bad", "NODE-B", `{`+kind+`,"environment":{"A":"b"}}`)
	configured("good", "NODE-C", `{`+kind+`,"env":{"WORKLOAD":"training"}}`)
	kit.MakePod(t, namespace, "bad", []string{"bad"}, nil)
	kit.MakePod(t, namespace, "good", []string{"good"}, nil)
	kit.HasEvent(t, namespace, "bad", "FailedPrepareDynamicResources", "environment")
	kit.Running(t, namespace, "good")
	if environment := kit.Exec(t, namespace, "good", "env"); !strings.Contains(environment, "WORKLOAD=training") {
		t.Errorf("the container has no variable of its parameters:\n%s", environment)
	}
	kit.Must(t, driver.Tree.Status("mock1", 0))
}

// A CDI folder that cannot be written: the pod's event says so, and it runs once that is mended.
func TestUnwritableCDIFolder(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	// A file in the folder's place: root may write to a folder whatever its mode is.
	kit.Must(t, os.RemoveAll(kit.CDIFolder))
	kit.Must(t, os.WriteFile(kit.CDIFolder, nil, 0o644))
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.HasEvent(t, namespace, "pod", "FailedPrepareDynamicResources", kit.CDIFolder)
	kit.Must(t, os.Remove(kit.CDIFolder))
	kit.Must(t, os.MkdirAll(kit.CDIFolder, 0o755))
	kit.Poke(t, namespace, "pod")
	kit.Running(t, namespace, "pod")
	kit.Must(t, driver.Tree.Status("mock1", 1))
}

// What a claim left that went while nobody was there: the driver asks the API server and removes it.
func TestStaleClaim(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "claim", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "pod", []string{"claim"}, nil)
	kit.Running(t, namespace, "pod")
	// The kubelet forgets the pod, as one does whose disk was replaced.
	kit.Cluster.Kubelet.Kill()
	driver.Kill()
	zero := int64(0)
	kit.Must(t, kit.Cluster.Client.CoreV1().Pods(namespace).Delete(t.Context(), "pod", metav1.DeleteOptions{GracePeriodSeconds: &zero}))
	kit.Gone(t, namespace, "pod")
	kit.Must(t, kit.Cluster.Client.ResourceV1().ResourceClaims(namespace).Delete(t.Context(), "claim", metav1.DeleteOptions{}))
	kit.Must(t, os.RemoveAll(filepath.Join(harness.KubeletFolder, "dra_manager_state")))
	if kit.Leftovers() == nil {
		t.Error("there is nothing to clean up")
	}
	driver.Start(t)
	driver.WaitClean(t, "mock1")
	kit.Must(t, kit.Cluster.Kubelet.Start())
	kit.Must(t, kit.Cluster.WaitNode(t.Context()))
}

// A token that is refused, and replaced in its file: the driver reads it again and goes on.
func TestExpiredToken(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	kit.Must(t, os.WriteFile(token, []byte("driver-token"), 0o600))
	config := filepath.Join(t.TempDir(), "config")
	admin, err := os.ReadFile(filepath.Join(harness.Folder, "driver.conf"))
	kit.Must(t, err)
	kit.Must(t, os.WriteFile(config, []byte(strings.Replace(string(admin), `token: "driver-token"`, "tokenFile: "+token, 1)), 0o600))
	driver := begin(t, "--kubeconfig", config)
	kit.Must(t, os.WriteFile(token, []byte("expired"), 0o600))
	offset := driver.LogSize()
	// Something to say, and a watch that has to begin anew.
	kit.Must(t, kit.Cluster.API.Restart())
	kit.Must(t, kit.Cluster.WaitAPI(t.Context()))
	driver.Tree.Write(t, "mock1", "status", "0x40000000\n")
	driver.Logged(t, offset, "401")
	kit.Must(t, os.WriteFile(token, []byte("driver-token"), 0o600))
	kit.WaitTaints(t, harness.NodeName, "mock1", "degraded:NoSchedule")
	driver.Tree.Write(t, "mock1", "status", "0x00000000\n")
	kit.WaitTaints(t, harness.NodeName, "mock1")
}
