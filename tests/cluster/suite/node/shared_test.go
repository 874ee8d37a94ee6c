// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"example.com/mimic/tests/cluster/suite/kit"
)

// part asks for some of the memory of the device that has a UUID.
func part(name, id, memory string) resourceapi.DeviceRequest {
	request := uuid(name, id)
	request.Exactly.Capacity = &resourceapi.CapacityRequirements{Requests: map[resourceapi.QualifiedName]resource.Quantity{
		kit.DriverName + "/memory": resource.MustParse(memory)}}
	return request
}

// Consumable capacity: claims have parts of one device until its memory is given away, and it is free when the last has gone.
func TestShared(t *testing.T) {
	driver := begin(t, "--shared")
	namespace := kit.Namespace(t, nil)
	kit.MakeClaim(t, namespace, "most", resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{part("accel", "NODE-C", "5Gi")}})
	kit.MakeClaim(t, namespace, "some", resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{part("accel", "NODE-C", "2Gi")}})
	kit.MakeClaim(t, namespace, "more", resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{part("accel", "NODE-C", "2Gi")}})
	kit.MakePod(t, namespace, "most", []string{"most"}, nil)
	kit.MakePod(t, namespace, "some", []string{"some"}, nil)
	kit.Running(t, namespace, "most")
	kit.Running(t, namespace, "some")
	for pod, share := range map[string]string{"most": "5Gi", "some": "2Gi"} {
		if environment := kit.Exec(t, namespace, pod, "env"); !strings.Contains(environment, "MOCK_ACCEL_SHARE_MEMORY="+share+"\n") {
			t.Errorf("pod %s does not know its share %s:\n%s", pod, share, environment)
		}
	}
	// One of 8 GiB is left.
	kit.MakePod(t, namespace, "more", []string{"more"}, nil)
	kit.Unschedulable(t, namespace, "more")
	kit.Delete(t, namespace, "most")
	kit.Gone(t, namespace, "most")
	kit.Must(t, driver.Tree.Status("mock2", 1))
	kit.Running(t, namespace, "more")
}
