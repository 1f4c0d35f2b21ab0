package kubernetes

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
)

// tokens is who may do what: the administrator and the controllers everything, kubelet
// what a node may, such as reading the secrets of its own pods.
const tokens = `administrator,administrator,1,system:masters
kubelet,system:node:` + nodeName + `,2,system:nodes
`

const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- name: test
  cluster: {server: "https://` + apiAddress + `", insecure-skip-tls-verify: true}
users:
- name: test
  user: {token: %s}
contexts:
- name: test
  context: {cluster: test, user: test}
current-context: test
`

// Kubelet looks after its pods every few seconds, not every minute: so often are
// volumes published again, with secrets as they are then.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://%[1]s/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /%[2]s
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
syncFrequency: 5s
nodeStatusUpdateFrequency: 5s
evictionHard: {memory.available: 1Mi, nodefs.available: 1Mi, imagefs.available: 1Mi}
imageGCHighThresholdPercent: 100
podLogsDir: %[1]s/logs/pods
resolvConf: ""
volumePluginDir: %[1]s/volume-plugins
`

// Without CAP_SYS_RESOURCE, which root may lack in a container, nobody may ask to be
// spared when memory runs out.
const containerdConfig = `version = 2
root = "%[1]s/containerd"
state = "%[1]s/containers"
[grpc]
  address = "%[1]s/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + imageName + `"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "%[2]s"
    conf_dir = "%[1]s/networks"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
`

const networkConfig = `{
  "cniVersion": "0.4.0", "name": "pods", "plugins": [
    {"type": "ptp", "ipam": {"type": "host-local", "subnet": "203.0.113.0/24", "dataDir": "%[1]s/addresses"}}
  ]
}
`

// writeConfiguration writes what the programs are started with, and makes the cgroup
// that pods are in.
func (c *cluster) writeConfiguration() error {
	files := map[string]string{
		"tokens":                 tokens,
		"admin.kubeconfig":       fmt.Sprintf(kubeconfig, "administrator"),
		"kubelet.kubeconfig":     fmt.Sprintf(kubeconfig, "kubelet"),
		"kubelet.yaml":           fmt.Sprintf(kubeletConfig, c.dir, filepath.Base(c.dir)),
		"containerd.toml":        fmt.Sprintf(containerdConfig, c.dir, filepath.Join(tools, "kubernetes")),
		"networks/pods.conflist": fmt.Sprintf(networkConfig, c.dir),
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	files["service-accounts.key"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(c.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return makeCgroup(filepath.Base(c.dir))
}

// makeCgroup makes a cgroup of each controller, or the one of all of them where this
// machine has cgroup v2. scripts/test-kubernetes removes them.
func makeCgroup(name string) error {
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return os.Mkdir(filepath.Join(root, name), 0o755)
	}
	controllers, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, controller := range controllers {
		if !controller.IsDir() { // a link to one that is mounted with another
			continue
		}
		if err := os.Mkdir(filepath.Join(root, controller.Name(), name), 0o755); err != nil {
			return err
		}
	}
	return nil
}
