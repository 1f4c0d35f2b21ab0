package kubernetes

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// counted are so many small files, each of which is fetched when it is read.
func counted(n int) map[string]string {
	files := make(map[string]string, n)
	for i := range n {
		files[fmt.Sprint(i)] = fmt.Sprint("content of ", i, "\n")
	}
	return files
}

// The driver is killed and another is started, as in an upgrade, while a pod reads
// files that it hasn't read before. It notices nothing, and its volume is unmounted by a
// driver that didn't mount it.
func TestAnUpgradeIsntNoticed(t *testing.T) {
	const files = 200
	reference := openRegistry(t).push(t, "models/shards:v1", counted(files))
	// What the pod says is checked where a test can say what was wrong. It reads what
	// was read before, too, once it is through.
	script := fmt.Sprintf(`trap exit TERM
		i=0
		while :; do cat /data/$((i %% %d)) 2>&1 || echo FAILED; i=$((i + 1)); sleep 1; done`, files)
	p := pod{name: "reading", volume: inline(fmt.Sprintf("reference: %q", reference)), script: script}
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

	if after := serving(t); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("what served the volume was\n%q, and is\n%q", before, after)
	}
	show(t, "get", "pods")
	p.delete(t)
	leavesNothing(t)
}

// reads waits until the pod has read so many files, and checks what it read: the files
// one after the other, without an error between them.
func (p pod) reads(t *testing.T, n int) int {
	t.Helper()
	var said []string
	wait(t, fmt.Sprintf("%s has read %d files", p.name, n), func() (bool, string) {
		said = lines(p.logs(t))
		return len(said) >= n, fmt.Sprint(len(said))
	})
	for i, line := range said {
		if line != fmt.Sprint("content of ", i) {
			t.Fatalf("line %d of %s is %q", i+1, p.name, line)
		}
	}
	return len(said)
}
