// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

const (
	// NodeName is the node's name and the host name in the namespaces.
	NodeName = "n1"
	// Address is the node's own.
	Address = "10.77.0.1"
	// ServiceAddress is what pods are told to find the API server at. Without kube-proxy it is simply an address of this machine.
	ServiceAddress = "10.96.0.1"
	// Folder holds everything of the cluster and is memory: it ends with the namespaces.
	Folder = "/run/mimic-cluster"
	// KubeletFolder is where a kubelet is by default, so that manifests fit as they are.
	KubeletFolder = "/var/lib/kubelet"
)

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", kind, target, err)
	}
	return nil
}

// prepareNode makes the namespaces of PID 1 look like a node of its own. Nothing of it is visible outside.
func prepareNode() error {
	steps := []func() error{
		// What we mount must not travel to the machine; what the kubelet mounts must travel to containers.
		func() error { return mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "") },
		func() error { return mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "") },
		func() error { return mount("proc", "/proc", "proc", 0, "") },
		func() error { return mount("tmpfs", "/run", "tmpfs", 0, "mode=755") },
		func() error { return cover("/etc") },
		func() error { return cover("/var/lib") },
		func() error { return memory(KubeletFolder) },
		func() error { return os.MkdirAll(filepath.Join(Folder, "cni/net.d"), 0o755) },
		func() error { return os.MkdirAll(filepath.Join(Folder, "cni/bin"), 0o755) },
		settings,
		network,
		func() error { return join(os.Getenv(cgroupVariable)) },
		func() error { return syscall.Sethostname([]byte(NodeName)) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// cover makes a folder writable without touching the machine's.
func cover(folder string) error {
	upper, work := filepath.Join("/run/cover", folder, "upper"), filepath.Join("/run/cover", folder, "work")
	for _, path := range []string{upper, work} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", folder, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", folder, upper, work))
}

// memory mounts a file system of its own: the kubelet asks about the space of the one that it is on, and knows no overlay.
func memory(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return mount("tmpfs", folder, "tmpfs", 0, "mode=755")
}

// settings shows the kubelet the kernel settings that it wants, and does not change the machine's.
func settings() error {
	for name, value := range map[string]string{"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"} {
		file := filepath.Join(Folder, "sysctl", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(file, "/proc/sys/"+name, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// network makes a bridge with the node's address. A kubelet wants a default route; nothing is behind it.
func network() error {
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "br0", "type", "bridge"},
		{"addr", "add", Address + "/16", "dev", "br0"},
		{"link", "set", "br0", "up"},
		{"link", "add", "v0", "type", "veth", "peer", "name", "v1"},
		{"link", "set", "v0", "master", "br0", "up"},
		{"link", "set", "v1", "up"},
		{"route", "add", "default", "via", "10.77.255.254"},
		{"addr", "add", ServiceAddress + "/32", "dev", "lo"},
	} {
		if output, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", arguments, err, output)
		}
	}
	return nil
}
