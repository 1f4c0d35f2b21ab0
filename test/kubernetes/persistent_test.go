package kubernetes

import (
	"fmt"
	"testing"
)

// A volume of the cluster's: its handle is the reference.
const persistent = `apiVersion: v1
kind: PersistentVolume
metadata: {name: tiny}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  claimRef: {namespace: default, name: tiny}
  csi:
    driver: ` + driverName + `
    volumeHandle: %q
    readOnly: true
    volumeAttributes: {plainHTTP: "true"}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: tiny, namespace: default}
spec:
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  volumeName: tiny
  resources: {requests: {storage: 1Gi}}
`

func TestAPodReadsAPersistentVolume(t *testing.T) {
	reference := openRegistry(t).push(t, "models/tiny:v1", map[string]string{"weights.bin": "as it was pushed\n"})
	apply(t, fmt.Sprintf(persistent, reference))
	t.Cleanup(func() {
		see(t, "delete", "persistentvolumeclaim/tiny", "persistentvolume/tiny", "--timeout", patience.String())
	})
	p := pod{
		name:   "persistent",
		volume: "persistentVolumeClaim: {claimName: tiny, readOnly: true}",
		script: "cat /data/weights.bin" + stay,
	}
	p.run(t)
	p.says(t, "as it was pushed")
	show(t, "get", "persistentvolumes,persistentvolumeclaims")
	p.delete(t)
	leavesNothing(t)
}
