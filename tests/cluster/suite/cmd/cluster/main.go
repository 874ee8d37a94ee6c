// SPDX-License-Identifier: Apache-2.0

// Command cluster brings a Kubernetes up in private namespaces, runs a command there, and leaves nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"example.com/mimic/tests/cluster/suite/harness"
)

const usage = `usage: cluster [--level none|api|controllers|node] [--image FILE]... -- COMMAND ARGUMENT...

Makes the namespaces of a node (none), starts etcd and an API server there (api), with scheduler and controllers (controllers), with containerd and a kubelet as node n1
(node, the default), and then COMMAND beside them, with kubectl in PATH and KUBECONFIG set. Ends with its status; nothing is left then.
`

type list []string

func (l *list) String() string         { return strings.Join(*l, " ") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func main() {
	var images list
	level := flag.String("level", "node", "")
	flag.Var(&images, "image", "")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.Parse()
	if flag.NArg() == 0 || !slices.Contains([]string{"none", "api", "controllers", "node"}, *level) {
		flag.Usage()
		os.Exit(2)
	}
	harness.Main(func() int { return run(*level, images, flag.Args()) })
}

func run(level string, images, command []string) int {
	environment := os.Environ()
	if level != "none" {
		cluster, err := start(context.Background(), level, images)
		if err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
			harness.PrintLogs(10)
			return 1
		}
		kube, _ := harness.Program("kubectl")
		environment = append(environment, "KUBECONFIG="+cluster.Kubeconfig, "PATH="+filepath.Dir(kube)+":"+os.Getenv("PATH"))
	}
	child := exec.Command(command[0], command[1:]...)
	child.Env = environment
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := child.Run()
	if child.ProcessState != nil && child.ProcessState.ExitCode() >= 0 {
		return child.ProcessState.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	return 1
}

func start(ctx context.Context, level string, images []string) (*harness.Cluster, error) {
	cluster, err := harness.StartAPI(ctx)
	if err != nil || level == "api" {
		return cluster, err
	}
	if err := cluster.StartControllers(ctx); err != nil {
		return cluster, err
	}
	if err := cluster.WaitControllers(ctx); err != nil || level == "controllers" {
		return cluster, err
	}
	for _, name := range []string{"pause.tar", "busybox.tar"} {
		image, err := harness.Program(name)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return cluster, cluster.StartNode(ctx, images...)
}
