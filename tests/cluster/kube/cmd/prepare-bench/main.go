// SPDX-License-Identifier: Apache-2.0

// Command prepare-bench calls NodePrepareResources of several DRA drivers in turn, as a kubelet does, and prints how
// long it took. It makes the claims that it needs: one a device mock0, mock1, ..., allocated by itself. Arguments are
// NAME=DRIVER=SOCKET, one for each driver to measure.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	dra "k8s.io/kubelet/pkg/apis/dra/v1"
)

// The kubelet's own limit.
const limit = 45 * time.Second

type target struct {
	name, driver string
	client       dra.DRAPluginClient
	claims       []*dra.Claim
	single, all  []time.Duration
}

func main() {
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "how to reach the API server")
	node := flag.String("node", "n1", "name of the node, and so of the pool")
	count := flag.Int("claims", 128, "claims of a call with many")
	rounds := flag.Int("rounds", 300, "calls with one claim")
	batches := flag.Int("batches", 5, "calls with many claims")
	flag.Parse()
	if err := run(*kubeconfig, *node, *count, *rounds, *batches, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "prepare-bench:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, node string, count, rounds, batches int, words []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	kube := kubernetes.NewForConfigOrDie(config)
	var targets []*target
	for _, word := range words {
		part := strings.SplitN(word, "=", 3)
		if len(part) != 3 {
			return fmt.Errorf("%q is no NAME=DRIVER=SOCKET", word)
		}
		connection, err := grpc.NewClient("unix://"+part[2], grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		t := &target{name: part[0], driver: part[1], client: dra.NewDRAPluginClient(connection)}
		for i := range count {
			claim, err := makeClaim(kube, t, node, i)
			if err != nil {
				return err
			}
			t.claims = append(t.claims, claim)
		}
		targets = append(targets, t)
	}
	// In turns, so that whatever else the machine does meets all of them.
	for i := range rounds {
		for _, t := range targets {
			took, err := t.once(t.claims[i%count : i%count+1])
			if err != nil {
				return err
			}
			t.single = append(t.single, took)
		}
	}
	for range batches {
		for _, t := range targets {
			took, err := t.once(t.claims)
			if err != nil {
				return err
			}
			t.all = append(t.all, took)
		}
	}
	for _, t := range targets {
		fmt.Printf("prepare target=%s one_p50_ms=%.2f one_p99_ms=%.2f many=%d many_p50_ms=%.1f many_max_ms=%.1f\n", t.name,
			quantile(t.single, 0.5), quantile(t.single, 0.99), count, quantile(t.all, 0.5), quantile(t.all, 1))
	}
	return nil
}

// once prepares, measures, and takes it back.
func (t *target) once(claims []*dra.Claim) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begin := time.Now()
	answer, err := t.client.NodePrepareResources(ctx, &dra.NodePrepareResourcesRequest{Claims: claims})
	took := time.Since(begin)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.name, err)
	}
	for _, claim := range claims {
		one := answer.Claims[claim.Uid]
		if one.GetError() != "" || len(one.GetDevices()) != 1 || len(one.GetDevices()[0].CdiDeviceIds) == 0 {
			return 0, fmt.Errorf("%s: claim %s: %v", t.name, claim.Name, one)
		}
	}
	undone, err := t.client.NodeUnprepareResources(ctx, &dra.NodeUnprepareResourcesRequest{Claims: claims})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.name, err)
	}
	for _, claim := range claims {
		if message := undone.Claims[claim.Uid].GetError(); message != "" {
			return 0, fmt.Errorf("%s: unprepare %s: %s", t.name, claim.Name, message)
		}
	}
	return took, nil
}

// makeClaim makes a claim and allocates device number i to it, as the scheduler would.
func makeClaim(kube kubernetes.Interface, t *target, node string, i int) (*dra.Claim, error) {
	claims := kube.ResourceV1().ResourceClaims("default")
	claim := &resourceapi.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", t.name, i)},
		Spec: resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{
			{Name: "it", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: "any"}}}}},
	}
	if err := claims.Delete(context.Background(), claim.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	made, err := claims.Create(context.Background(), claim, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	made.Status.Allocation = &resourceapi.AllocationResult{Devices: resourceapi.DeviceAllocationResult{
		Results: []resourceapi.DeviceRequestAllocationResult{
			{Request: "it", Driver: t.driver, Pool: node, Device: fmt.Sprintf("mock%d", i)}}}}
	if made, err = claims.UpdateStatus(context.Background(), made, metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	return &dra.Claim{Namespace: made.Namespace, Uid: string(made.UID), Name: made.Name}, nil
}

// quantile in milliseconds.
func quantile(times []time.Duration, q float64) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return float64(times[int(q*float64(len(times)-1)+0.5)].Microseconds()) / 1000
}
