package kubernetes

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
)

// reader is a pod that reads one small file a second, each of which is fetched then.
func reader(t *testing.T, name string) pod {
	t.Helper()
	const n = 600 // more than any test waits for
	files := make(map[string]string, n)
	for i := range n {
		files[fmt.Sprint(i)] = fmt.Sprint("content of ", i, "\n")
	}
	reference := openRegistry(t).push(t, "models/shards:v1", files)
	return pod{name: name, volume: inline(fmt.Sprintf("reference: %q", reference)), script: `trap exit TERM
		i=0
		while :; do cat /data/$i 2>&1 || echo FAILED; i=$((i + 1)); sleep 1; done`}
}

// The driver is killed and another is started, as in an upgrade, while a pod reads
// files that it hasn't read before. It notices nothing, and its volume is unmounted by a
// driver that didn't mount it.
func TestAnUpgradeIsntNoticed(t *testing.T) {
	p := reader(t, "reading")
	p.run(t)
	mark := p.reads(t, 3)
	before := serving(t)

	node.driver.end(syscall.SIGKILL)
	mark = p.reads(t, mark+5)
	t.Logf("the driver was killed, and the pod has read %d files", mark)
	if err := node.startDriver(); err != nil {
		t.Fatal(err)
	}
	mark = p.reads(t, mark+5)
	t.Logf("another driver runs, and the pod has read %d files", mark)

	if after := serving(t); !slices.Equal(after, before) {
		t.Errorf("what served the volume was\n%q, and is\n%q", before, after)
	}
	show(t, "get", "pods")
	p.delete(t)
	leavesNothing(t)
}

// Kubelet and the driver are killed at once, and know what there is when they start anew.
func TestKubeletAndTheDriverStartAnew(t *testing.T) {
	p := reader(t, "through-restarts")
	p.run(t)
	mark := p.reads(t, 3)
	before := serving(t)
	node.driver.end(syscall.SIGKILL)
	node.kubelet.end(syscall.SIGKILL)
	if err := node.startKubelet(); err != nil {
		t.Fatal(err)
	}
	if err := node.startDriver(); err != nil {
		t.Fatal(err)
	}
	mark = p.reads(t, mark+5)
	t.Logf("kubelet and the driver have started anew, and the pod has read %d files", mark)
	if after := serving(t); !slices.Equal(after, before) {
		t.Errorf("what served the volume was\n%q, and is\n%q", before, after)
	}
	p.delete(t)
	leavesNothing(t)
}

// A pod that is deleted while there is no driver is gone once there is one.
func TestAPodIsDeletedWithoutADriver(t *testing.T) {
	p := reader(t, "deleted-alone")
	p.run(t)
	p.reads(t, 3)
	node.driver.end(syscall.SIGKILL)
	see(t, "delete", "pod", p.name, "--wait=false")
	p.event(t, "Killing")
	if len(serving(t)) == 0 || len(volumesMounted(t)) == 0 {
		t.Error("without a driver nothing can have ended")
	}
	if err := node.startDriver(); err != nil {
		t.Fatal(err)
	}
	p.delete(t)
	leavesNothing(t)
}

// reads waits until the pod has read so many files, and checks what it read: the files
// one after the other, without an error between them.
func (p pod) reads(t *testing.T, n int) int {
	t.Helper()
	var said []string
	wait(t, fmt.Sprintf("%s has read %d files", p.name, n), func() (bool, string) {
		logs, err := node.kubectl("", "logs", p.name)
		if err != nil { // kubelet, which has them, is just starting
			return false, logs
		}
		said = lines(logs)
		return len(said) >= n, fmt.Sprint(len(said))
	})
	for i, line := range said {
		if line != fmt.Sprint("content of ", i) {
			t.Fatalf("line %d of %s is %q", i+1, p.name, line)
		}
	}
	return len(said)
}
