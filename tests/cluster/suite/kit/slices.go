// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Slices lists a driver's slices of a node, by name.
func Slices(ctx context.Context, driver, node string) ([]resourceapi.ResourceSlice, error) {
	list, err := Cluster.Client.ResourceV1().ResourceSlices().List(ctx, metav1.ListOptions{
		FieldSelector: "spec.driver=" + driver + ",spec.nodeName=" + node})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b resourceapi.ResourceSlice) int { return cmp.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// Complete returns an error unless the slices are one whole pool, as an allocator wants it: one generation, and as many
// as each of them says.
func Complete(all []resourceapi.ResourceSlice) error {
	if len(all) == 0 {
		return fmt.Errorf("there are no slices")
	}
	for _, s := range all {
		pool := s.Spec.Pool
		if pool.Generation != all[0].Spec.Pool.Generation || pool.ResourceSliceCount != int64(len(all)) {
			return fmt.Errorf("slice %s says generation %d and %d slices; there are %d, the first of generation %d",
				s.Name, pool.Generation, pool.ResourceSliceCount, len(all), all[0].Spec.Pool.Generation)
		}
	}
	return nil
}

// Published returns the devices of a complete pool by name.
func Published(ctx context.Context, driver, node string) (map[string]resourceapi.Device, error) {
	all, err := Slices(ctx, driver, node)
	if err != nil {
		return nil, err
	}
	if err := Complete(all); err != nil {
		return nil, err
	}
	devices := map[string]resourceapi.Device{}
	for _, s := range all {
		for _, device := range s.Spec.Devices {
			if _, twice := devices[device.Name]; twice {
				return nil, fmt.Errorf("device %s is there twice", device.Name)
			}
			devices[device.Name] = device
		}
	}
	return devices, nil
}

// WaitPublished waits until exactly these devices are published, and returns them.
func WaitPublished(t *testing.T, node string, names ...string) map[string]resourceapi.Device {
	t.Helper()
	var devices map[string]resourceapi.Device
	slices.Sort(names)
	Eventually(t, fmt.Sprintf("%d devices of node %s are published", len(names), node), func() (err error) {
		if devices, err = Published(t.Context(), DriverName, node); err != nil {
			return err
		}
		return Is("the list of devices", strings.Join(sortedKeys(devices), " "), strings.Join(names, " "))
	})
	return devices
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// WaitTaints waits until the device has exactly these taints, "key:Effect".
func WaitTaints(t *testing.T, node, device string, want ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("taints of %s are %q", device, want), func() error {
		devices, err := Published(t.Context(), DriverName, node)
		if err != nil {
			return err
		}
		var got []string
		for _, taint := range devices[device].Taints {
			got = append(got, strings.TrimPrefix(taint.Key, DriverName+"/")+":"+string(taint.Effect))
		}
		return Is("the list of taints", strings.Join(got, " "), strings.Join(want, " "))
	})
}

// DeleteSlices deletes all slices of a node, as a kubelet does that starts.
func DeleteSlices(ctx context.Context, node string) error {
	return Cluster.Client.ResourceV1().ResourceSlices().DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
}
