package kubernetes

import (
	"testing"
)

// Without the driver, so that what fails further on is the driver's.
func TestTheNodeRunsPods(t *testing.T) {
	p := pod{name: "plain", volume: "emptyDir: {}", script: "echo of a volume >/data/file; cat /data/file" + stay}
	p.run(t)
	p.says(t, "of a volume\n")
	show(t, "get", "pods", "--output", "wide")
	p.delete(t)
	leavesNothing(t)
}
