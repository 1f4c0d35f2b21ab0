package kubernetes

import (
	"fmt"
	"testing"
)

// A pod's fsGroup is the group of the files, so that nobody has to be root to read them.
func TestAPodsGroupHasTheFiles(t *testing.T) {
	reference := openRegistry(t).push(t, "models/tiny:v1", map[string]string{"weights.bin": "heavy\n"})
	p := pod{
		name:   "group",
		volume: inline(fmt.Sprintf("reference: %q", reference)),
		user:   "runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000",
		script: "cat /data/weights.bin; ls -ln /data" + stay,
	}
	p.run(t)
	p.says(t, "heavy\n")
	p.says(t, " 2000 ")
	show(t, "logs", p.name)
	p.delete(t)
	leavesNothing(t)
}
