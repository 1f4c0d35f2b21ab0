package kubernetes

import (
	"fmt"
	"testing"
)

// What oras pushed is what a pod reads, byte for byte, without anything but the pod.
func TestAPodReadsAnArtifact(t *testing.T) {
	weights := random(t, 3<<20)
	reference := openRegistry(t).push(t, "models/tiny:v1", map[string]string{"weights.bin": weights, "README.md": "# tiny\n"})
	p := pod{
		name:   "inline",
		volume: inline(fmt.Sprintf("reference: %q", reference)),
		script: "ls /data; cat /data/README.md; sha256sum /data/weights.bin; echo no >/data/new" + stay,
	}
	p.run(t)
	p.says(t, "README.md\nweights.bin\n# tiny\n"+sum(weights)+"  /data/weights.bin\n")
	p.says(t, "/data/new: Read-only file system")
	show(t, "logs", p.name)
	for _, mount := range volumesMounted(t) {
		t.Log("mounted:", mount)
	}
	p.delete(t)
	leavesNothing(t)
}

// A volume that nobody promised not to write to isn't mounted, and kubelet says why.
func TestAVolumeMustBeReadOnly(t *testing.T) {
	reference := openRegistry(t).push(t, "models/tiny:v1", map[string]string{"weights.bin": "heavy\n"})
	p := pod{
		name:   "writable",
		volume: fmt.Sprintf(`csi: {driver: %s, volumeAttributes: {plainHTTP: "true", reference: %q}}`, driverName, reference),
		script: stay,
	}
	p.create(t)
	message := p.event(t, "FailedMount")
	t.Log(message)
	contains(t, message, "readOnly")
	p.delete(t)
	leavesNothing(t)
}
