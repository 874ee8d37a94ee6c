// SPDX-License-Identifier: Apache-2.0

// Command go-driver is a DRA driver on the kubeletplugin helper of Kubernetes: what mimic-dra is measured beside, and
// what proves the test cluster without it. It offers --devices whole devices mock0, mock1, ..., of which the first has
// two partitions (mock0-vf0, mock0-vf1) behind shared counters if --partitions is given. A container gets GO_DRIVER_DEVICE
// and a device node. The file --control, {"taints":{"mock1":"NoExecute"},"unhealthy":["mock1"]}, is read twice a second.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"
	"k8s.io/dynamic-resource-allocation/resourceslice"
	health "k8s.io/kubelet/pkg/apis/dra-health/v1alpha1"
	"k8s.io/utils/ptr"
)

type control struct {
	Taints    map[string]resourceapi.DeviceTaintEffect `json:"taints"`
	Unhealthy []string                                 `json:"unhealthy"`
}

type driver struct {
	health.UnimplementedDRAResourceHealthServer
	name, node, cdi, control string
	pcieRoot                 string
	devices                  int
	partitions, sync         bool
	data                     string     // folder of the driver's own files
	mu                       sync.Mutex // guards what follows
	state                    control
	prepared                 map[types.UID]kubeletplugin.PrepareResult // with --sync
}

func counters(units int64) map[string]resourceapi.Counter {
	return map[string]resourceapi.Counter{"functions": {Value: *resource.NewQuantity(units, resource.DecimalSI)}}
}

func (d *driver) device(name, kind string, c control) resourceapi.Device {
	device := resourceapi.Device{Name: name, Attributes: map[resourceapi.QualifiedName]resourceapi.DeviceAttribute{
		"deviceType":                      {StringValue: ptr.To(kind)},
		"resource.kubernetes.io/pcieRoot": {StringValue: ptr.To(d.pcieRoot)},
	}}
	if effect, ok := c.Taints[name]; ok {
		device.Taints = []resourceapi.DeviceTaint{{Key: d.name + "/fault", Effect: effect}}
	}
	return device
}

func (d *driver) resources(c control) resourceslice.DriverResources {
	const limit = resourceapi.ResourceSliceMaxDevices / 2 // devices with taints or counters: half as many a slice
	var all []resourceapi.Device
	var pool resourceslice.Pool
	for i := range d.devices {
		all = append(all, d.device(fmt.Sprintf("mock%d", i), "pf", c))
	}
	if d.partitions {
		all = append(all, d.device("mock0-vf0", "vf", c), d.device("mock0-vf1", "vf", c))
		for i, units := range map[int]int64{0: 2, d.devices: 1, d.devices + 1: 1} {
			all[i].ConsumesCounters = []resourceapi.DeviceCounterConsumption{{CounterSet: "mock0", Counters: counters(units)}}
		}
		pool.Slices = append(pool.Slices, resourceslice.Slice{
			SharedCounters: []resourceapi.CounterSet{{Name: "mock0", Counters: counters(2)}}})
	}
	for part := range slices.Chunk(all, limit) {
		pool.Slices = append(pool.Slices, resourceslice.Slice{Devices: part})
	}
	return resourceslice.DriverResources{Pools: map[string]resourceslice.Pool{d.node: pool}}
}

// kind is this driver's own in CDI, so that it can be beside mimic-dra on a node.
func (d *driver) kind() string { return d.name + "/device" }

func (d *driver) specFile(uid types.UID) string {
	return filepath.Join(d.cdi, d.name+"-device_"+string(uid)+".json")
}

func (d *driver) prepare(claim *resourceapi.ResourceClaim) (result kubeletplugin.PrepareResult) {
	var specs []map[string]any
	for _, a := range claim.Status.Allocation.Devices.Results {
		if a.Driver != d.name {
			continue
		}
		name := string(claim.UID) + "-" + a.Device
		specs = append(specs, map[string]any{"name": name, "containerEdits": map[string]any{
			"env":         []string{"GO_DRIVER_DEVICE=" + a.Device},
			"deviceNodes": []map[string]any{{"path": "/dev/" + a.Device, "hostPath": "/dev/null"}}}})
		result.Devices = append(result.Devices, kubeletplugin.Device{Requests: []string{a.Request}, PoolName: a.Pool,
			DeviceName: a.Device, CDIDeviceIDs: []string{d.kind() + "=" + name}})
	}
	text, err := json.Marshal(map[string]any{"cdiVersion": "0.5.0", "kind": d.kind(), "devices": specs})
	if err == nil {
		err = d.write(d.specFile(claim.UID), text)
	}
	result.Err = err
	return result
}

// write replaces a file; with --sync it is on the disk before write returns, as is its name.
func (d *driver) write(path string, text []byte) error {
	file, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil && d.sync {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil || !d.sync {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// keep writes which claims are prepared, as drivers do that survive a crash; only with --sync.
func (d *driver) keep(change func(prepared map[types.UID]kubeletplugin.PrepareResult)) error {
	if !d.sync {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d.prepared)
	text, err := json.Marshal(d.prepared)
	if err != nil {
		return err
	}
	return d.write(filepath.Join(d.data, "checkpoint.json"), text)
}

func (d *driver) PrepareResourceClaims(_ context.Context, claims []*resourceapi.ResourceClaim) (map[types.UID]kubeletplugin.PrepareResult, error) {
	results := map[types.UID]kubeletplugin.PrepareResult{}
	for _, claim := range claims {
		results[claim.UID] = d.prepare(claim)
	}
	err := d.keep(func(prepared map[types.UID]kubeletplugin.PrepareResult) { maps.Copy(prepared, results) })
	return results, err
}

func (d *driver) UnprepareResourceClaims(_ context.Context, claims []kubeletplugin.NamespacedObject) (map[types.UID]error, error) {
	results := map[types.UID]error{}
	for _, claim := range claims {
		err := os.Remove(d.specFile(claim.UID))
		if os.IsNotExist(err) {
			err = nil
		}
		results[claim.UID] = err
	}
	err := d.keep(func(prepared map[types.UID]kubeletplugin.PrepareResult) {
		for _, claim := range claims {
			delete(prepared, claim.UID)
		}
	})
	return results, err
}

func (d *driver) HandleError(_ context.Context, err error, msg string) {
	fmt.Fprintln(os.Stderr, msg, err)
}

func (d *driver) NodeWatchResources(_ *health.NodeWatchResourcesRequest, stream health.DRAResourceHealth_NodeWatchResourcesServer) error {
	for {
		d.mu.Lock()
		c := d.state
		d.mu.Unlock()
		var all []*health.DeviceHealth
		for _, slice := range d.resources(c).Pools[d.node].Slices {
			for _, device := range slice.Devices {
				h := &health.DeviceHealth{Device: &health.DeviceIdentifier{PoolName: d.node, DeviceName: device.Name},
					Health: health.HealthStatus_HEALTHY, LastUpdatedTime: time.Now().Unix(), HealthCheckTimeoutSeconds: 30}
				if slices.Contains(c.Unhealthy, device.Name) {
					h.Health, h.Message = health.HealthStatus_UNHEALTHY, "the control file says so"
				}
				all = append(all, h)
			}
		}
		if err := stream.Send(&health.NodeWatchResourcesResponse{Devices: all}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (d *driver) read() (c control) {
	if text, err := os.ReadFile(d.control); err == nil {
		_ = json.Unmarshal(text, &c) // a file half written is read again
	}
	return c
}

func (d *driver) run(ctx context.Context, kubeconfig, root string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1 // client-go's own limit is 5 requests a second, and each claim of a call is one
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	d.data = filepath.Join(root, "plugins", d.name)
	for _, folder := range []string{d.data, d.cdi} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	helper, err := kubeletplugin.Start(ctx, d, kubeletplugin.DriverName(d.name), kubeletplugin.NodeName(d.node),
		kubeletplugin.KubeClient(client), kubeletplugin.PluginDataDirectoryPath(d.data),
		kubeletplugin.RegistrarDirectoryPath(filepath.Join(root, "plugins_registry")))
	if err != nil {
		return err
	}
	defer helper.Stop()
	for published := false; ctx.Err() == nil; time.Sleep(500 * time.Millisecond) {
		if c := d.read(); !published || !reflect.DeepEqual(c, d.state) {
			d.mu.Lock()
			d.state = c
			d.mu.Unlock()
			if err := helper.PublishResources(ctx, d.resources(c)); err != nil {
				return err
			}
			published = true
		}
	}
	return nil
}

func main() {
	d := &driver{prepared: map[types.UID]kubeletplugin.PrepareResult{}}
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server; inside a pod nothing is needed")
	root := flag.String("kubelet-dir", "/var/lib/kubelet", "the kubelet's folder")
	flag.StringVar(&d.name, "driver", "mock-accel.example.com", "name of the driver")
	flag.StringVar(&d.node, "node-name", os.Getenv("NODE_NAME"), "name of the node")
	flag.StringVar(&d.cdi, "cdi-dir", "/var/run/cdi", "folder of CDI files")
	flag.StringVar(&d.control, "control", "", "file with taints and health")
	flag.StringVar(&d.pcieRoot, "pcie-root", "pci0000:00", "resource.kubernetes.io/pcieRoot of all devices")
	flag.IntVar(&d.devices, "devices", 2, "number of whole devices")
	flag.BoolVar(&d.partitions, "partitions", false, "the first device has two partitions")
	flag.BoolVar(&d.sync, "sync", false, "keep a checkpoint of prepared claims, and wait until files are on the disk")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := d.run(ctx, *kubeconfig, *root); err != nil {
		fmt.Fprintln(os.Stderr, "go-driver:", err)
		os.Exit(1)
	}
}
