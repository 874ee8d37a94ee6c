// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"example.com/mimic/tests/cluster/suite/harness"
	"example.com/mimic/tests/cluster/suite/kit"
)

// A claim made of a template: what the pod sees of its device, and that all of it goes with the pod.
func TestClaimFromTemplate(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	template := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: resourceapi.ResourceClaimTemplateSpec{
		Spec: resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{uuid("accel", "NODE-B")}}}}}
	_, err := kit.Cluster.Client.ResourceV1().ResourceClaimTemplates(namespace).Create(t.Context(), template, metav1.CreateOptions{})
	kit.Must(t, err)
	kit.MakePod(t, namespace, "pod", nil, func(pod *corev1.Pod) {
		pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "mine", ResourceClaimTemplateName: &template.Name}}
		pod.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "mine"}}
	})
	kit.Running(t, namespace, "pod")
	kit.Must(t, driver.Tree.Status("mock1", 1))
	environment := kit.Exec(t, namespace, "pod", "env")
	if !strings.Contains(environment, "MOCK_ACCEL_") || !strings.Contains(environment, "NODE-B") {
		t.Errorf("the container has no variables of its device:\n%s", environment)
	}
	node := kit.Exec(t, namespace, "pod", "ls", "-l", "/dev/mock1")
	if !strings.HasPrefix(node, "c") || !strings.Contains(node, "1,   3") {
		t.Errorf("/dev/mock1 in the container is %s", node)
	}
	// The device's own folder of sysfs, read-only.
	mounts := kit.Exec(t, namespace, "pod", "sh", "-c", "grep mock1 /proc/mounts; cat $(grep mock1 /proc/mounts | cut -d' ' -f2 | head -n 1)/uuid")
	if !strings.Contains(mounts, " ro,") || !strings.Contains(mounts, "NODE-B") {
		t.Errorf("the device's folder is not mounted read-only:\n%s", mounts)
	}
	metadata := kit.Exec(t, namespace, "pod", "cat",
		"/var/run/kubernetes.io/dra-device-attributes/resourceclaimtemplates/mine/accel/"+kit.DriverName+"-metadata.json")
	if !strings.Contains(metadata, "mock1") || !strings.Contains(metadata, "NODE-B") {
		t.Errorf("the metadata file does not name the device:\n%s", metadata)
	}
	kit.Delete(t, namespace, "pod")
	kit.Gone(t, namespace, "pod")
	driver.WaitClean(t, "mock1")
}

// Two pods share a claim: prepared once, and there until the last of them has gone.
func TestSharedClaim(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "shared", uuid("accel", "NODE-B"))
	kit.MakePod(t, namespace, "first", []string{"shared"}, nil)
	kit.MakePod(t, namespace, "second", []string{"shared"}, nil)
	kit.Running(t, namespace, "first")
	kit.Running(t, namespace, "second")
	kit.Delete(t, namespace, "first")
	kit.Gone(t, namespace, "first")
	kit.Must(t, driver.Tree.Status("mock1", 1))
	kit.Exec(t, namespace, "second", "ls", "/dev/mock1")
	kit.Delete(t, namespace, "second")
	kit.Gone(t, namespace, "second")
	driver.WaitClean(t, "mock1")
}

// A PF and its VFs are never given away at once, whoever comes first.
func TestPartitions(t *testing.T) {
	begin(t)
	namespace := kit.Namespace(t, nil)
	kit.Claim(t, namespace, "whole", uuid("pf", "NODE-A"))
	kit.Claim(t, namespace, "parts", vf("one"), vf("two"))
	kit.MakePod(t, namespace, "pf", []string{"whole"}, nil)
	kit.Running(t, namespace, "pf")
	kit.MakePod(t, namespace, "vfs", []string{"parts"}, nil)
	kit.Unschedulable(t, namespace, "vfs")
	kit.Delete(t, namespace, "pf")
	kit.Gone(t, namespace, "pf")
	// A claim that no pod has is given back by the controller.
	kit.Running(t, namespace, "vfs")
	devices := kit.Devices(t, namespace, "parts")
	slices.Sort(devices)
	if got := strings.Join(devices, " "); got != "one=mock0-vf0 two=mock0-vf1" && got != "one=mock0-vf1 two=mock0-vf0" {
		t.Errorf("devices are %s", got)
	}
	kit.Exec(t, namespace, "vfs", "ls", "/dev/mock0_vf0", "/dev/mock0_vf1")
	kit.MakePod(t, namespace, "pf", []string{"whole"}, nil)
	kit.Unschedulable(t, namespace, "pf")
}

// Topology: two devices of one NUMA node, and a request for three that no node has.
func TestMatchAttribute(t *testing.T) {
	begin(t)
	namespace := kit.Namespace(t, nil)
	same := func(requests ...resourceapi.DeviceRequest) resourceapi.DeviceClaim {
		attribute := resourceapi.FullyQualifiedName("resource.kubernetes.io/numaNode")
		return resourceapi.DeviceClaim{Requests: requests, Constraints: []resourceapi.DeviceConstraint{{MatchAttribute: &attribute}}}
	}
	kit.MakeClaim(t, namespace, "two", same(pf("a"), pf("b")))
	kit.MakeClaim(t, namespace, "three", same(pf("a"), pf("b"), pf("c")))
	kit.MakePod(t, namespace, "two", []string{"two"}, nil)
	kit.Running(t, namespace, "two")
	if devices := strings.Join(kit.Devices(t, namespace, "two"), " "); strings.Contains(devices, "mock2") {
		t.Errorf("devices of two NUMA nodes: %s", devices)
	}
	kit.Delete(t, namespace, "two")
	kit.Gone(t, namespace, "two")
	kit.MakePod(t, namespace, "three", []string{"three"}, nil)
	kit.Unschedulable(t, namespace, "three")
}

// firstAvailable: the second choice where the first is not to be had.
func TestPrioritizedList(t *testing.T) {
	begin(t)
	namespace := kit.Namespace(t, nil)
	choice := func(name, expression string) resourceapi.DeviceSubRequest {
		return resourceapi.DeviceSubRequest{Name: name, DeviceClassName: kit.Class, AllocationMode: resourceapi.DeviceAllocationModeExactCount,
			Count: 1, Selectors: []resourceapi.DeviceSelector{{CEL: &resourceapi.CELDeviceSelector{Expression: expression}}}}
	}
	kit.Claim(t, namespace, "best", resourceapi.DeviceRequest{Name: "accel", FirstAvailable: []resourceapi.DeviceSubRequest{
		choice("large", fmt.Sprintf(`device.capacity[%q].memory.compareTo(quantity("32Gi")) >= 0`, kit.DriverName)),
		choice("small", kit.Has("uuid", `== "NODE-C"`))}})
	kit.MakePod(t, namespace, "pod", []string{"best"}, nil)
	kit.Running(t, namespace, "pod")
	if got := strings.Join(kit.Devices(t, namespace, "best"), " "); got != "accel/small=mock2" {
		t.Errorf("devices are %s", got)
	}
	kit.Exec(t, namespace, "pod", "ls", "/dev/mock2")
}

// Admin access: a monitor sees a device that somebody else has, only in a namespace that allows it, and its end takes
// nothing from the other.
func TestAdminAccess(t *testing.T) {
	driver := begin(t)
	namespace := kit.Namespace(t, map[string]string{"resource.kubernetes.io/admin-access": "true"})
	request := uuid("watched", "NODE-B")
	request.Exactly.AdminAccess = ptr(true)
	other := kit.Namespace(t, nil)
	refused := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: "refused"},
		Spec: resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{request}}}}
	_, err := kit.Cluster.Client.ResourceV1().ResourceClaims(other).Create(t.Context(), refused, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
		t.Errorf("admin access without the label: %v", err)
	}
	kit.Claim(t, other, "used", uuid("accel", "NODE-B"))
	kit.MakePod(t, other, "user", []string{"used"}, nil)
	kit.Running(t, other, "user")
	kit.Claim(t, namespace, "watch", request)
	kit.MakePod(t, namespace, "monitor", []string{"watch"}, nil)
	kit.Running(t, namespace, "monitor")
	kit.Exec(t, namespace, "monitor", "ls", "/dev/mock1")
	kit.Delete(t, namespace, "monitor")
	kit.Gone(t, namespace, "monitor")
	kit.Must(t, driver.Tree.Status("mock1", 1))
	kit.Exec(t, other, "user", "ls", "/dev/mock1")
}

// An extended resource: a pod that knows nothing of claims.
func TestExtendedResource(t *testing.T) {
	begin(t)
	name := corev1.ResourceName("example.com/mock-accel")
	err := kit.MakeClass(t.Context(), kit.Cluster, "test-extended", kit.DriverName, func(class *resourceapi.DeviceClass) {
		class.Spec.ExtendedResourceName = ptr(string(name))
		class.Spec.Selectors[0].CEL.Expression = kit.Has("uuid", `== "NODE-C"`)
	})
	kit.Must(t, err)
	t.Cleanup(func() {
		_ = kit.Cluster.Client.ResourceV1().DeviceClasses().Delete(context.Background(), "test-extended", metav1.DeleteOptions{})
	})
	namespace := kit.Namespace(t, nil)
	kit.MakePod(t, namespace, "pod", nil, func(pod *corev1.Pod) {
		one := corev1.ResourceList{name: resource.MustParse("1")}
		pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Limits: one, Requests: one}
	})
	kit.Running(t, namespace, "pod")
	kit.Exec(t, namespace, "pod", "ls", "/dev/mock2")
}

// A claim over two drivers: each prepares its own devices and leaves the other's alone.
func TestTwoDrivers(t *testing.T) {
	driver := begin(t)
	other, err := harness.NewComponent("go-driver", "go-driver", "-driver", "go.example.com", "-node-name", harness.NodeName,
		"-kubeconfig", kit.Cluster.Kubeconfig, "-cdi-dir", kit.CDIFolder)
	kit.Must(t, err)
	kit.Must(t, other.Start())
	t.Cleanup(other.Kill)
	namespace := kit.Namespace(t, nil)
	foreign := kit.Request("foreign")
	foreign.Exactly.DeviceClassName = "go-driver"
	kit.Claim(t, namespace, "both", uuid("own", "NODE-C"), foreign)
	kit.MakePod(t, namespace, "pod", []string{"both"}, nil)
	kit.Running(t, namespace, "pod")
	environment := kit.Exec(t, namespace, "pod", "env")
	if !strings.Contains(environment, "GO_DRIVER_DEVICE=mock") || !strings.Contains(environment, "NODE-C") {
		t.Errorf("the container has not both devices:\n%s", environment)
	}
	kit.Must(t, driver.Tree.Status("mock0", 0))
	kit.Must(t, driver.Tree.Status("mock2", 1))
}

func ptr[T any](value T) *T { return &value }
