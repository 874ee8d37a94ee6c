// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"example.com/mimic/tests/cluster/suite/harness"
)

// DriverName is that of Mimic's driver.
const DriverName = "mock-accel.example.com"

// Class is a DeviceClass of all of the driver's devices, guarded by the driver's name.
const Class = "test-accel"

// Has is a CEL expression about an attribute of the driver's, safe for devices of others.
func Has(attribute, operatorAndValue string) string {
	return fmt.Sprintf(`device.driver == %q && device.attributes[%q].%s %s`, DriverName, DriverName, attribute, operatorAndValue)
}

// MakeClass makes a DeviceClass of a driver.
func MakeClass(ctx context.Context, cluster *harness.Cluster, name, driver string, change func(*resourceapi.DeviceClass)) error {
	class := &resourceapi.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: resourceapi.DeviceClassSpec{
		Selectors: selectors([]string{fmt.Sprintf("device.driver == %q", driver)})}}
	if change != nil {
		change(class)
	}
	_, err := cluster.Client.ResourceV1().DeviceClasses().Create(ctx, class, metav1.CreateOptions{})
	return err
}

// Request asks for one device of the class Class that fulfils the expressions.
func Request(name string, expressions ...string) resourceapi.DeviceRequest {
	return resourceapi.DeviceRequest{Name: name, Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: Class,
		AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: 1, Selectors: selectors(expressions)}}
}

func selectors(expressions []string) (out []resourceapi.DeviceSelector) {
	for _, expression := range expressions {
		out = append(out, resourceapi.DeviceSelector{CEL: &resourceapi.CELDeviceSelector{Expression: expression}})
	}
	return out
}

// MakeClaim makes a claim.
func MakeClaim(t *testing.T, namespace, name string, spec resourceapi.DeviceClaim) *resourceapi.ResourceClaim {
	t.Helper()
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: resourceapi.ResourceClaimSpec{Devices: spec}}
	made, err := Cluster.Client.ResourceV1().ResourceClaims(namespace).Create(t.Context(), claim, metav1.CreateOptions{})
	Must(t, err)
	return made
}

// Claim makes a claim of requests.
func Claim(t *testing.T, namespace, name string, requests ...resourceapi.DeviceRequest) *resourceapi.ResourceClaim {
	t.Helper()
	return MakeClaim(t, namespace, name, resourceapi.DeviceClaim{Requests: requests})
}

// MakePod makes a pod that waits, with claims of the names in its one container, each called as the claim.
func MakePod(t *testing.T, namespace, name string, claims []string, change func(*corev1.Pod)) {
	t.Helper()
	grace := int64(1)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		HostNetwork: true, TerminationGracePeriodSeconds: &grace,
		Containers: []corev1.Container{{Name: "c", Image: "mimic.local/busybox:1", ImagePullPolicy: corev1.PullNever,
			// A shell that has a handler ends at once when it is asked to.
			Command: []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"}}}}}
	for i := range claims {
		pod.Spec.ResourceClaims = append(pod.Spec.ResourceClaims, corev1.PodResourceClaim{Name: claims[i], ResourceClaimName: &claims[i]})
		pod.Spec.Containers[0].Resources.Claims = append(pod.Spec.Containers[0].Resources.Claims, corev1.ResourceClaim{Name: claims[i]})
	}
	if change != nil {
		change(pod)
	}
	// The service account of a new namespace comes a moment later.
	Must(t, harness.Wait(t.Context(), Limit, func() error {
		_, err := Cluster.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
		if err != nil && !strings.Contains(err.Error(), "service account") && !strings.Contains(err.Error(), "serviceaccount") {
			return harness.Stop(err)
		}
		return err
	}))
}

// GetPod reads a pod.
func GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return Cluster.Client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
}

// Running waits until the pod runs.
func Running(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	poked := time.Now()
	Eventually(t, "pod "+name+" runs", func() (err error) {
		if pod, err = GetPod(t.Context(), namespace, name); err != nil {
			return err
		}
		// A kubelet that failed to prepare a claim, as of a driver that it does not know yet, looks again after 60 to 90 s only.
		if pod.Spec.NodeName != "" && pod.Status.Phase == corev1.PodPending && time.Since(poked) > 10*time.Second {
			poked = time.Now()
			if err := poke(t.Context(), namespace, name); err != nil {
				return err
			}
		}
		if err := Is("phase of pod "+name, pod.Status.Phase, corev1.PodRunning); err != nil {
			return fmt.Errorf("%w; %s", err, strings.Join(Events(t.Context(), namespace, name), "; "))
		}
		return nil
	})
	return pod
}

// Unschedulable waits until the scheduler says that there is no place for the pod now.
func Unschedulable(t *testing.T, namespace, name string) {
	t.Helper()
	Eventually(t, "pod "+name+" waits for a device", func() error {
		pod, err := GetPod(t.Context(), namespace, name)
		if err != nil {
			return err
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse && condition.Reason == "Unschedulable" {
				return nil
			}
		}
		return fmt.Errorf("phase %s, conditions %+v", pod.Status.Phase, pod.Status.Conditions)
	})
}

// Delete asks for the end of a pod.
func Delete(t *testing.T, namespace, name string) {
	t.Helper()
	Must(t, Cluster.Client.CoreV1().Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
}

// Gone waits until there is no such pod.
func Gone(t *testing.T, namespace, name string) {
	t.Helper()
	Eventually(t, "pod "+name+" is gone", func() error {
		_, err := GetPod(t.Context(), namespace, name)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		}
		return fmt.Errorf("it is there; %s", strings.Join(Events(t.Context(), namespace, name), "; "))
	})
}

// Events returns "Reason: message" of the events about a pod.
func Events(ctx context.Context, namespace, pod string) (texts []string) {
	list, err := Cluster.Client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod})
	if err != nil {
		return []string{err.Error()}
	}
	for _, event := range list.Items {
		texts = append(texts, event.Reason+": "+event.Message)
	}
	return texts
}

// HasEvent waits for an event of the pod that contains all of the texts.
func HasEvent(t *testing.T, namespace, pod string, texts ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("an event of pod %s has %q", pod, texts), func() error {
		events := Events(t.Context(), namespace, pod)
		for _, event := range events {
			found := 0
			for _, text := range texts {
				if strings.Contains(event, text) {
					found++
				}
			}
			if found == len(texts) {
				return nil
			}
		}
		return fmt.Errorf("events are %q", events)
	})
}

// Devices returns the allocated devices of a claim, "request=device".
func Devices(t *testing.T, namespace, claim string) (devices []string) {
	t.Helper()
	object, err := Cluster.Client.ResourceV1().ResourceClaims(namespace).Get(t.Context(), claim, metav1.GetOptions{})
	Must(t, err)
	if object.Status.Allocation == nil {
		t.Fatalf("claim %s is not allocated", claim)
	}
	for _, result := range object.Status.Allocation.Devices.Results {
		devices = append(devices, result.Request+"="+result.Device)
	}
	return devices
}

// Poke makes the kubelet look at a pod at once, in place of some seconds later, after something failed.
func Poke(t *testing.T, namespace, name string) {
	t.Helper()
	Must(t, poke(t.Context(), namespace, name))
}

func poke(ctx context.Context, namespace, name string) error {
	_, err := Cluster.Client.CoreV1().Pods(namespace).Patch(ctx, name, "application/merge-patch+json",
		fmt.Appendf(nil, `{"metadata":{"annotations":{"poke":%q}}}`, metav1.Now().Format("15:04:05.000000")), metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Exec runs a command in the pod's container and returns its output.
func Exec(t *testing.T, namespace, pod string, command ...string) string {
	t.Helper()
	output, err := Cluster.Kubectl(t.Context(), append([]string{"-n", namespace, "exec", pod, "--"}, command...)...)
	Must(t, err)
	return output
}
