package kubernetes

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The process that serves a volume is killed. Its pod, which asks to see what is mounted
// while it runs, is served by another one at the same place.
func TestAnotherProcessServesAVolume(t *testing.T) {
	p := reader(t, "served")
	p.mount = "mountPropagation: HostToContainer"
	p.run(t)
	p.reads(t, 3)
	for _, process := range serving(t) {
		pid, err := strconv.Atoi(strings.Fields(process)[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	p.says(t, "FAILED")
	wait(t, "the pod reads again", func() (bool, string) {
		logs := p.logs(t)
		_, after, _ := strings.Cut(logs, "FAILED")
		return strings.Contains(after, "content of "), logs
	})
	show(t, "logs", p.name)
	p.delete(t)
	leavesNothing(t)
}
