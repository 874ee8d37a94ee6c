// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const containerdConfig = `version = 3
root = "@FOLDER@/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "mimic.local/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  enable_cdi = true
  # Without CAP_SYS_RESOURCE, as in many virtual machines, nothing may lower its score.
  restrict_oom_score_adj = true
  cdi_spec_dirs = ["/etc/cdi", "/run/cdi"]
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["@FOLDER@/cni/bin"]
    conf_dir = "@FOLDER@/cni/net.d"
    use_internal_loopback = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "@RUNC@"
        SystemdCgroup = false
`

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /@GROUP@
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
evictionHard: {memory.available: 10Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
resolvConf: ""
podLogsDir: @FOLDER@/podlogs
volumePluginDir: @FOLDER@/volplugins
nodeStatusUpdateFrequency: 5s
`

const networkConfig = `{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"pod-network"}]}`

// podNetwork is a CNI plugin: a pod without hostNetwork gets an address on the node's bridge. That is all of CNI that tests need, and
// spares building the plugins that others have.
const podNetwork = `#!/bin/sh
set -e
name=${CNI_NETNS##*/}
case $CNI_COMMAND in
VERSION)
    echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}' ;;
ADD)
    exec 9>>@FOLDER@/cni/last
    flock 9
    number=$(($(cat @FOLDER@/cni/last) + 1))
    echo $number >@FOLDER@/cni/last
    address=10.77.$((1 + number / 250)).$((1 + number % 250))
    {
        ip link add pod$number type veth peer name "$CNI_IFNAME" netns "$name"
        ip link set pod$number master br0 up
        ip -n "$name" addr add $address/16 dev "$CNI_IFNAME"
        ip -n "$name" link set "$CNI_IFNAME" up
        ip -n "$name" link set lo up
        ip -n "$name" route add default via @ADDRESS@
    } >&2
    printf '{"cniVersion":"1.0.0","interfaces":[{"name":"%s","sandbox":"%s"}],' "$CNI_IFNAME" "$CNI_NETNS"
    printf '"ips":[{"interface":0,"address":"%s/16","gateway":"@ADDRESS@"}]}\n' $address ;;
*) ;; # DEL: both ends of the pair go with the pod's namespace.
esac
`

func (c *Cluster) write(name, text string, replacements ...string) error {
	pairs := append([]string{"@FOLDER@", Folder, "@GROUP@", c.group, "@ADDRESS@", Address}, replacements...)
	return os.WriteFile(path(name), []byte(strings.NewReplacer(pairs...).Replace(text)), 0o755)
}

// StartNode starts containerd and a kubelet and waits until the node is Ready. Images are docker archives to import.
func (c *Cluster) StartNode(ctx context.Context, images ...string) error {
	if err := timed("containerd with its images", func() error { return c.startContainerd(ctx, images) }); err != nil {
		return err
	}
	if err := c.write("kubelet.yaml", kubeletConfig); err != nil {
		return err
	}
	var err error
	c.Kubelet, err = NewComponent("kubelet", "kubelet", "--config="+path("kubelet.yaml"), "--kubeconfig="+path("node.conf"),
		"--root-dir="+KubeletFolder, "--hostname-override="+NodeName, "--node-ip="+Address, "--v=2")
	if err != nil {
		return err
	}
	return timed("node Ready", func() error {
		if err := c.Kubelet.Start(); err != nil {
			return err
		}
		return c.WaitNode(ctx)
	})
}

// WaitNode waits until the node is Ready.
func (c *Cluster) WaitNode(ctx context.Context) error {
	return Wait(ctx, 2*time.Minute, func() error {
		if !c.Kubelet.Running() {
			return Stop(fmt.Errorf("the kubelet has ended:\n%s", c.Kubelet.LogTail(10)))
		}
		return c.NodeReady(ctx)
	})
}

func (c *Cluster) startContainerd(ctx context.Context, images []string) error {
	runc, err := Program("runc")
	if err != nil {
		return err
	}
	if err := c.write("containerd.toml", containerdConfig, "@RUNC@", runc); err != nil {
		return err
	}
	for name, text := range map[string]string{"cni/net.d/10-pods.conflist": networkConfig, "cni/bin/pod-network": podNetwork, "cni/last": "0\n"} {
		if err := c.write(name, text); err != nil {
			return err
		}
	}
	if c.Containerd, err = NewComponent("containerd", "containerd", "-c", path("containerd.toml")); err != nil {
		return err
	}
	// containerd finds its shim in PATH.
	c.Containerd.Environment = []string{"PATH=" + filepath.Dir(c.Containerd.program) + ":/usr/sbin:/usr/bin:/sbin:/bin"}
	if err := c.Containerd.Start(); err != nil {
		return err
	}
	if err := Wait(ctx, time.Minute, func() error { _, err := c.Ctr(ctx, "version"); return err }); err != nil {
		return fmt.Errorf("%w\n%s", err, c.Containerd.LogTail(10))
	}
	for _, image := range images {
		if err := c.ImportImage(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

// ImportImage brings an image, a docker archive, to the node.
func (c *Cluster) ImportImage(ctx context.Context, file string) error {
	_, err := c.Ctr(ctx, "images", "import", file)
	return err
}

// Ctr runs ctr in the kubelet's namespace of containerd.
func (c *Cluster) Ctr(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(filepath.Dir(c.Containerd.program), "ctr"),
		append([]string{"-a", "/run/containerd/containerd.sock", "-n", "k8s.io"}, arguments...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(arguments, " "), err, output)
	}
	return string(output), nil
}
