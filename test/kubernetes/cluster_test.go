package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// nodeName is what the only node is called.
const nodeName = "node"

// The programs are in a network of their own, so the ports are free.
const (
	etcdAddress = "127.0.0.1:2379"
	etcdPeers   = "127.0.0.1:2380"
	apiAddress  = "127.0.0.1:6443"
	nodeAddress = "192.0.2.1" // scripts/test-kubernetes has made it
)

// A cluster is a control plane and a node. There is no scheduler: a pod names its
// node.
type cluster struct {
	dir       string // of everything that it keeps
	processes []*process
	kubelet   *process
	driver    driver
}

func newCluster(dir string) *cluster { return &cluster{dir: dir} }

func (c *cluster) path(names ...string) string {
	return filepath.Join(append([]string{c.dir}, names...)...)
}

// kubeletPath is in kubelet's folder, where volumes are mounted.
func (c *cluster) kubeletPath(names ...string) string {
	return c.path(append([]string{"kubelet"}, names...)...)
}

// run starts a program of Kubernetes', which the cluster stops.
func (c *cluster) run(name string, args ...string) (*process, error) {
	p, err := c.startProcess(name, filepath.Join(tools, "kubernetes", name), args...)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

// start starts all of it and waits until pods can run.
func (c *cluster) start() error {
	began := time.Now()
	if err := c.writeConfiguration(); err != nil {
		return err
	}
	for _, step := range []func() error{c.startEtcd, c.startAPIServer, c.startControllers, c.startContainerd, c.startKubelet} {
		if err := step(); err != nil {
			return err
		}
	}
	version, err := c.kubectl("", "get", "nodes", "--output", "wide")
	fmt.Printf("a node is ready after %.0f s:\n%s", time.Since(began).Seconds(), version)
	return err
}

func (c *cluster) startEtcd() error {
	etcd, err := c.run("etcd", "--data-dir", c.path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", "http://"+etcdAddress, "--advertise-client-urls", "http://"+etcdAddress,
		"--listen-peer-urls", "http://"+etcdPeers, "--initial-advertise-peer-urls", "http://"+etcdPeers,
		"--initial-cluster", "default=http://"+etcdPeers)
	if err != nil {
		return err
	}
	return until("etcd listens", func() (bool, string) {
		conn, err := net.DialTimeout("tcp", etcdAddress, time.Second)
		if err != nil {
			return false, err.Error()
		}
		return conn.Close() == nil, ""
	}, etcd)
}

func (c *cluster) startAPIServer() error {
	server, err := c.run("kube-apiserver", "--etcd-servers", "http://"+etcdAddress,
		"--bind-address", "127.0.0.1", "--secure-port", "6443", "--advertise-address", nodeAddress,
		"--cert-dir", c.path("certificates"), "--token-auth-file", c.path("tokens"),
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--allow-privileged",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-signing-key-file", c.path("service-accounts.key"),
		"--service-account-key-file", c.path("service-accounts.key"),
		"--service-cluster-ip-range", "198.51.100.0/24", "--kubelet-preferred-address-types", "InternalIP")
	if err != nil {
		return err
	}
	return until("the API server is ready", func() (bool, string) {
		out, err := c.kubectl("", "get", "--raw", "/readyz")
		return err == nil, fmt.Sprint(out, err)
	}, server)
}

func (c *cluster) startControllers() error {
	controllers, err := c.run("kube-controller-manager", "--kubeconfig", c.path("admin.kubeconfig"),
		"--service-account-private-key-file", c.path("service-accounts.key"), "--leader-elect=false",
		"--cert-dir", c.path("certificates"), "--pvclaimbinder-sync-period", "1s")
	if err != nil {
		return err
	}
	return until("pods may be made, which takes a service account", func() (bool, string) {
		out, err := c.kubectl("", "get", "serviceaccount", "default")
		return err == nil, fmt.Sprint(out, err)
	}, controllers)
}

// startContainerd gives it the only image, too.
func (c *cluster) startContainerd() error {
	containerd, err := c.run("containerd", "--config", c.path("containerd.toml"))
	if err != nil {
		return err
	}
	image := c.path("image.tar")
	if err := writeImage(image); err != nil {
		return err
	}
	return until("containerd takes an image", func() (bool, string) {
		out, err := c.output("", "ctr", "--address", c.path("containerd.sock"), "--namespace", "k8s.io",
			"images", "import", "--snapshotter", "native", image)
		return err == nil, fmt.Sprint(out, err)
	}, containerd)
}

// startKubelet can be called again once kubelet has ended: pods run on without it.
func (c *cluster) startKubelet() (err error) {
	c.kubelet, err = c.run("kubelet", "--config", c.path("kubelet.yaml"), "--kubeconfig", c.path("kubelet.kubeconfig"),
		"--root-dir", c.kubeletPath(), "--cert-dir", c.path("certificates"),
		"--hostname-override", nodeName, "--node-ip", nodeAddress)
	if err != nil {
		return err
	}
	return until("the node is ready", func() (bool, string) {
		out, err := c.kubectl("", "get", "node", nodeName, "--output",
			`jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.message}{end}{.spec.taints}`)
		return strings.HasPrefix(out, "True") && !strings.Contains(out, "not-ready"), fmt.Sprint(out, err)
	}, c.kubelet)
}

// stop ends the programs, the last first. What else is left of pods ends with the
// namespaces.
func (c *cluster) stop() {
	c.driver.end(syscall.SIGTERM)
	for _, p := range slices.Backward(c.processes) {
		p.end(syscall.SIGTERM)
	}
}

// kubectl runs it as the cluster's administrator and gives what it prints.
func (c *cluster) kubectl(stdin string, args ...string) (string, error) {
	return c.output(stdin, "kubectl", append([]string{"--kubeconfig", c.path("admin.kubeconfig")}, args...)...)
}

// output runs a program of Kubernetes' to its end and gives what it prints.
func (c *cluster) output(stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "kubernetes", name), args...)
	cmd.Env = c.environment()
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return string(out), err
}
