package kubernetes

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The process that serves a volume is killed. Its pod, which asks to see what is mounted
// while it runs, is served by another one at the same place.
func TestAnotherProcessServesAVolume(t *testing.T) {
	const files = 200
	reference := openRegistry(t).push(t, "models/shards:v1", counted(files))
	script := fmt.Sprintf(`trap exit TERM
		i=0
		while :; do cat /data/$((i %% %d)) 2>&1 || echo FAILED; i=$((i + 1)); sleep 1; done`, files)
	p := pod{name: "served", volume: inline(fmt.Sprintf("reference: %q", reference)), mount: "mountPropagation: HostToContainer", script: script}
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
