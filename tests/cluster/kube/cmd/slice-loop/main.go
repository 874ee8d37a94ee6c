// SPDX-License-Identifier: Apache-2.0

// Command slice-loop creates ResourceSlices with a plain loop of client-go, as fast as the API server takes them: the
// baseline of what mimic-dra --simulate publishes. The slices are those of --template (a List, as `mimic plan --format
// slices` prints it) on nodes PREFIX-0 to PREFIX-<N-1>.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "who we are and where the API server is")
	template := flag.String("template", "", "file with a List of the slices of one node")
	nodes := flag.Int("nodes", 1, "number of nodes")
	workers := flag.Int("workers", 8, "requests under way at once")
	prefix := flag.String("name-prefix", "loop", "of the nodes' names")
	protobuf := flag.Bool("protobuf", false, "say it in protobuf instead of client-go's default")
	remove := flag.Bool("delete", false, "delete the slices afterwards, outside the measured time")
	flag.Parse()
	if err := run(*kubeconfig, *template, *nodes, *workers, *prefix, *protobuf, *remove); err != nil {
		fmt.Fprintln(os.Stderr, "slice-loop:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, template string, nodes, workers int, prefix string, protobuf, remove bool) error {
	text, err := os.ReadFile(template)
	if err != nil {
		return err
	}
	var list resourceapi.ResourceSliceList
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1 // no limit of the client's own
	if protobuf {
		config.ContentType = "application/vnd.kubernetes.protobuf"
		config.AcceptContentTypes = "application/vnd.kubernetes.protobuf"
	}
	slices := kubernetes.NewForConfigOrDie(config).ResourceV1().ResourceSlices()

	devices := 0
	for _, slice := range list.Items {
		devices += len(slice.Spec.Devices)
	}
	names := make([]string, nodes*len(list.Items))
	var next atomic.Int64
	failures := make(chan error, workers)
	begin := time.Now()
	each(workers, func() {
		for {
			n := int(next.Add(1)) - 1
			if n >= len(names) {
				return
			}
			node := fmt.Sprintf("%s-%d", prefix, n/len(list.Items))
			slice := list.Items[n%len(list.Items)].DeepCopy()
			slice.GenerateName = fmt.Sprintf("%05x-%s-%s-", n%len(list.Items), slice.Spec.Driver, node)
			slice.Spec.NodeName = &node
			slice.Spec.Pool.Name = node
			made, err := slices.Create(context.Background(), slice, metav1.CreateOptions{})
			if err != nil {
				failures <- err
				return
			}
			names[n] = made.Name
		}
	})
	seconds := time.Since(begin).Seconds()
	select {
	case err := <-failures:
		return err
	default:
	}
	fmt.Printf("created nodes=%d slices=%d devices=%d seconds=%.3f slices_per_second=%.1f\n", nodes, len(names),
		devices*nodes, seconds, float64(len(names))/seconds)
	if !remove {
		return nil
	}
	next.Store(0)
	each(workers, func() {
		for n := int(next.Add(1)) - 1; n < len(names); n = int(next.Add(1)) - 1 {
			_ = slices.Delete(context.Background(), names[n], metav1.DeleteOptions{})
		}
	})
	return nil
}

// each runs `work` on `workers` goroutines and waits for them.
func each(workers int, work func()) {
	var group sync.WaitGroup
	for range workers {
		group.Go(work)
	}
	group.Wait()
}
