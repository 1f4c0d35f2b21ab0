package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// driverName is what volumes call the driver.
const driverName = "csi.orasfs.github.io"

// A driver is the driver on the node and what tells kubelet of it: the two containers
// of a DaemonSet's pod, as processes.
type driver struct{ csi, registrar *process }

// startDriver starts both and waits until pods can have volumes of the driver.
func (c *cluster) startDriver() error {
	if out, err := c.kubectl("", "apply", "--filename", filepath.Join(deploy, "kustomize", "csidriver.yaml")); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	socket := c.kubeletPath("plugins", driverName, "csi.sock")
	if err := os.MkdirAll(c.kubeletPath("plugins", driverName), 0o750); err != nil {
		return err
	}
	var err error
	// Serving processes are the driver's children, and live on without it.
	c.driver.csi, err = c.startProcess("orasfs-csi", c.path("bin", "orasfs-csi"),
		"--endpoint", "unix://"+socket, "--node-id", nodeName, "--runner", "child",
		"--state-dir", c.path("state"), "--cache-dir", c.path("cache"))
	if err != nil {
		return err
	}
	if err := until("the driver listens", func() (bool, string) {
		info, err := os.Stat(socket)
		return err == nil && info.Mode().Type() == os.ModeSocket, fmt.Sprint(err)
	}, c.driver.csi); err != nil {
		return err
	}
	c.driver.registrar, err = c.startProcess("registrar", filepath.Join(tools, "kubernetes", "registrar"),
		driverName, socket, c.kubeletPath("plugins_registry", driverName+"-reg.sock"))
	if err != nil {
		return err
	}
	return until("kubelet has the driver", func() (bool, string) {
		out, err := c.kubectl("", "get", "csinode", nodeName, "--output", "jsonpath={.spec.drivers[*].name}")
		return strings.Contains(out, driverName), fmt.Sprint(out, err)
	}, c.driver.csi, c.driver.registrar)
}

// end ends both. SIGKILL leaves them no time to do anything about it.
func (d driver) end(signal syscall.Signal) {
	for _, p := range []*process{d.registrar, d.csi} {
		if p != nil {
			p.end(signal)
		}
	}
}
