// SPDX-License-Identifier: Apache-2.0

// Package kit is what the tests on a cluster share: the one cluster of a test program, namespaces, claims and pods,
// simulated sysfs trees and drivers.
package kit

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"example.com/mimic/tests/cluster/suite/harness"
)

// Limit is how long a test waits for anything: machines may be busy, and nothing passes for being quick.
const Limit = 2 * time.Minute

// Cluster is that of this test program.
var Cluster *harness.Cluster

// Main is a TestMain: it runs the tests in the namespaces of a cluster that start brings up.
func Main(m *testing.M, start func(context.Context) (*harness.Cluster, error)) {
	flag.Parse()
	if flag.Lookup("test.list").Value.String() != "" {
		os.Exit(m.Run())
	}
	harness.Main(func() int {
		var err error
		if Cluster, err = start(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
			harness.PrintLogs(20)
			return 1
		}
		status := m.Run()
		if status != 0 {
			harness.PrintLogs(20)
		}
		return status
	})
}

// Eventually waits until the condition returns nil and fails the test if that is not within Limit.
func Eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	start := time.Now()
	if err := harness.Wait(t.Context(), Limit, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	t.Logf("%s: after %.1f s", what, time.Since(start).Seconds())
}

// Must fails the test on an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Is returns an error unless the values are the same.
func Is[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, not %v", what, got, want)
	}
	return nil
}

// Namespace makes a namespace of the test's own; its pods and claims go at the end of the test, before the next one begins.
func Namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	made, err := Cluster.Client.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{})
	Must(t, err)
	t.Cleanup(func() { empty(t, made.Name) })
	return made.Name
}

func empty(t *testing.T, namespace string) {
	// The test's own context has ended by now.
	ctx := context.Background()
	pods, claims := Cluster.Client.CoreV1().Pods(namespace), Cluster.Client.ResourceV1().ResourceClaims(namespace)
	err := harness.Wait(ctx, Limit, func() error {
		return pods.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	})
	if err != nil {
		t.Errorf("cleaning up: %v", err)
	}
	err = harness.Wait(ctx, Limit, func() error {
		list, err := pods.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		return Is("number of pods left in "+namespace, len(list.Items), 0)
	})
	if err != nil {
		t.Errorf("cleaning up: %v", err)
	}
	_ = claims.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	_ = Cluster.Client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
}
