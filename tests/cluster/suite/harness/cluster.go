// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Gates that are not on by default in the version that tools/kube builds.
const featureGates = "--feature-gates=DRADeviceTaintRules=true"

// Cluster is the one cluster of a process. Components are nil until they are started.
type Cluster struct {
	Etcd, API, Controllers, Scheduler, Containerd, Kubelet *Component
	Config                                                 *rest.Config // of an administrator
	Client                                                 kubernetes.Interface
	Kubeconfig                                             string // file of an administrator
	group                                                  string
	programs                                               string
}

// Users of the cluster by their tokens, as the API server's static token file. "driver" is who a DRA driver of a test is.
const tokens = `admin-token,admin,u1,"system:masters"
scheduler-token,system:kube-scheduler,u2
node-token,system:node:` + NodeName + `,u3,"system:nodes"
driver-token,driver,u4
`

func path(parts ...string) string { return filepath.Join(append([]string{Folder}, parts...)...) }

// WriteKubeconfig writes a kubeconfig file for the user of a token and returns its path.
func WriteKubeconfig(name, token string) (string, error) {
	file := path(name + ".conf")
	return file, os.WriteFile(file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://%s:443", certificate-authority: %s}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, Address, path("certs/apiserver.crt"), token), 0o600)
}

func writeServiceKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path("certs/sa.key"), pem.EncodeToMemory(block), 0o600)
}

// timed runs a step and says how long it took.
func timed(what string, step func() error) error {
	start := time.Now()
	if err := step(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Printf("cluster: %s after %.1f s\n", what, time.Since(start).Seconds())
	return nil
}

// StartAPI starts etcd and an API server and waits until it is ready.
func StartAPI(ctx context.Context) (*Cluster, error) {
	kube, err := Program("kube")
	if err != nil {
		return nil, err
	}
	c := &Cluster{group: os.Getenv(cgroupVariable), programs: filepath.Dir(kube)}
	for _, folder := range []string{"etcd", "certs"} {
		if err := os.MkdirAll(path(folder), 0o700); err != nil {
			return nil, err
		}
	}
	if err := writeServiceKey(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path("tokens.csv"), []byte(tokens), 0o600); err != nil {
		return nil, err
	}
	for name, token := range map[string]string{"admin": "admin-token", "scheduler": "scheduler-token",
		"node": "node-token", "driver": "driver-token"} {
		if _, err := WriteKubeconfig(name, token); err != nil {
			return nil, err
		}
	}
	c.Kubeconfig = path("admin.conf")
	// Nothing of a test has to survive a loss of power.
	c.Etcd, err = NewComponent("etcd", "etcd", "--data-dir", path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
		"--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "warn",
		// Writes fail after 5 s and twice this: a busy machine stops etcd for longer than the default's 7 s.
		"--election-timeout", "4000")
	if err != nil {
		return nil, err
	}
	c.API, err = NewComponent("kube-apiserver", "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
		"--service-cluster-ip-range=10.96.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+path("certs/sa.key"), "--service-account-signing-key-file="+path("certs/sa.key"),
		"--token-auth-file="+path("tokens.csv"), "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--bind-address=0.0.0.0", "--secure-port=443", "--advertise-address="+Address, "--cert-dir="+path("certs"),
		"--allow-privileged=true", "--runtime-config=resource.k8s.io/v1beta2=true", featureGates,
		"--kubelet-preferred-address-types=InternalIP")
	if err != nil {
		return nil, err
	}
	return c, timed("API server ready", func() error {
		if err := c.Etcd.Start(); err != nil {
			return err
		}
		if err := c.API.Start(); err != nil {
			return err
		}
		return c.connect(ctx)
	})
}

func (c *Cluster) connect(ctx context.Context) error {
	c.Config = &rest.Config{Host: "https://" + Address + ":443", BearerToken: "admin-token", QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: path("certs/apiserver.crt")}}
	// The API server makes its certificate at its first start; the file is there before it is written.
	if err := Wait(ctx, time.Minute, func() (err error) { c.Client, err = kubernetes.NewForConfig(c.Config); return err }); err != nil {
		return err
	}
	return c.WaitAPI(ctx)
}

// WaitAPI waits until the API server calls itself ready.
func (c *Cluster) WaitAPI(ctx context.Context) error {
	return Wait(ctx, 2*time.Minute, func() error {
		if !c.API.Running() {
			return Stop(fmt.Errorf("the API server has ended:\n%s", c.API.LogTail(10)))
		}
		_, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// Controllers that tests need; the others would cost memory and time.
var controllers = []string{"resourceclaim-controller", "device-taint-eviction-controller", "namespace-controller",
	"serviceaccount-controller", "root-ca-certificate-publisher-controller", "garbage-collector-controller", "pod-garbage-collector-controller",
	"node-lifecycle-controller", "taint-eviction-controller", "daemonset-controller", "deployment-controller",
	"replicaset-controller", "statefulset-controller", "job-controller"}

// StartControllers starts the controller manager and the scheduler.
func (c *Cluster) StartControllers(ctx context.Context) (err error) {
	c.Scheduler, err = NewComponent("kube-scheduler", "kube-scheduler", "--kubeconfig="+path("scheduler.conf"),
		"--leader-elect=false", "--secure-port=0", featureGates)
	if err != nil {
		return err
	}
	c.Controllers, err = NewComponent("kube-controller-manager", "kube-controller-manager", "--kubeconfig="+c.Kubeconfig,
		"--leader-elect=false", "--secure-port=0", "--service-account-private-key-file="+path("certs/sa.key"),
		"--root-ca-file="+path("certs/apiserver.crt"), featureGates, "--controllers="+strings.Join(controllers, ","))
	if err != nil {
		return err
	}
	if err := c.Scheduler.Start(); err != nil {
		return err
	}
	return c.Controllers.Start()
}

// WaitControllers waits for the first work of the controller manager. It ends if the API server is silent for 10 s at its start
// (controllermanager.go, WaitForAPIServer); then it is started again.
func (c *Cluster) WaitControllers(ctx context.Context) error {
	return Wait(ctx, 2*time.Minute, func() error {
		if !c.Controllers.Running() {
			if err := c.Controllers.Start(); err != nil {
				return Stop(err)
			}
		}
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// What kubectl says when nothing was done: a server stood still (client-go waits 10 s for a TLS handshake) or is not there yet,
// or a namespace is so new that it has no service account.
var unreached = []string{"TLS handshake timeout", "connection refused", "connection reset by peer", "i/o timeout",
	"error dialing backend", "etcdserver: request timed out", "error looking up service account"}

// Kubectl runs kubectl as an administrator and returns what it printed. It asks again, for half a minute, while it reaches nobody.
func (c *Cluster) Kubectl(ctx context.Context, arguments ...string) (string, error) {
	for try := 0; ; try++ {
		command := exec.CommandContext(ctx, filepath.Join(c.programs, "kubectl"), append([]string{"--kubeconfig", c.Kubeconfig}, arguments...)...)
		output, err := command.CombinedOutput()
		if err == nil {
			return string(output), nil
		}
		again := slices.ContainsFunc(unreached, func(text string) bool { return strings.Contains(string(output), text) })
		if !again || try == 30 {
			return string(output), fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, output)
		}
		time.Sleep(time.Second)
	}
}

// NodeReady returns nil if the node is Ready.
func (c *Cluster) NodeReady(ctx context.Context) error {
	node, err := c.Client.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("the node is not Ready: %s", condition.Message)
		}
	}
	return fmt.Errorf("the node says nothing about being Ready")
}
