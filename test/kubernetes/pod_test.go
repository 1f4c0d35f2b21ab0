package kubernetes

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
)

// A pod runs a shell script that sees a volume below /data.
type pod struct {
	name   string
	script string
	volume string // of a pod's manifest, one line of YAML without the name
	mount  string // likewise, of the volume's mount; "" is nothing more than where
	user   string // likewise, the security context; "" is root
}

const podManifest = `apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  nodeName: ` + nodeName + `
  restartPolicy: Never
  dnsPolicy: Default
  terminationGracePeriodSeconds: 2
  automountServiceAccountToken: false
  tolerations: [{operator: Exists}]
  securityContext: {%[5]s}
  containers:
  - name: main
    image: ` + imageName + `
    imagePullPolicy: Never
    command: [sh, -c, %[2]q]
    volumeMounts: [{name: data, mountPath: /data, %[4]s}]
  volumes:
  - {name: data, %[3]s}
`

// stay keeps a pod running once its script is through. A shell waits for the program
// that it runs before it takes a signal.
const stay = "\ntrap exit TERM; while :; do sleep 1; done"

// inline is a volume that a pod brings itself, with attributes as a flow of YAML.
func inline(attributes string) string {
	return fmt.Sprintf(`csi: {driver: %s, readOnly: true, volumeAttributes: {plainHTTP: "true", %s}}`, driverName, attributes)
}

// create creates the pod. At the end of the test it is deleted.
func (p pod) create(t *testing.T) {
	t.Helper()
	apply(t, fmt.Sprintf(podManifest, p.name, p.script, p.volume, p.mount, p.user))
	t.Cleanup(func() {
		if t.Failed() {
			p.tell(t)
		}
		p.delete(t)
	})
}

// tell prints what is known of the pod.
func (p pod) tell(t *testing.T) {
	for _, args := range [][]string{{"describe", "pod", p.name}, {"logs", p.name}} {
		out, err := node.kubectl("", args...)
		t.Logf("$ kubectl %s\n%s%v", strings.Join(args, " "), out, err)
	}
}

// run creates the pod and waits until its container runs.
func (p pod) run(t *testing.T) {
	t.Helper()
	p.create(t)
	p.running(t)
}

func (p pod) running(t *testing.T) {
	t.Helper()
	wait(t, p.name+" runs", func() (bool, string) {
		phase := see(t, "get", "pod", p.name, "--output", "jsonpath={.status.phase}")
		return phase == "Running" || phase == "Succeeded", phase
	})
}

// logs is what the pod has printed.
func (p pod) logs(t *testing.T) string {
	t.Helper()
	return see(t, "logs", p.name)
}

// says waits until the pod has printed something.
func (p pod) says(t *testing.T, what string) {
	t.Helper()
	wait(t, fmt.Sprintf("%s prints %q", p.name, what), func() (bool, string) {
		logs, err := node.kubectl("", "logs", p.name)
		return err == nil && strings.Contains(logs, what), logs // an error while nothing runs yet
	})
}

// delete deletes the pod, and returns when the API server has forgotten it: kubelet has
// unmounted its volumes by then.
func (p pod) delete(t *testing.T) {
	t.Helper()
	see(t, "delete", "pod", p.name, "--ignore-not-found", "--timeout", patience.String())
}

// event waits until kubelet tells of something that happened to the pod, and gives what
// it says.
func (p pod) event(t *testing.T, reason string) string {
	t.Helper()
	var message string
	wait(t, fmt.Sprintf("%s has an event %s", p.name, reason), func() (bool, string) {
		message = see(t, "get", "events", "--field-selector", "involvedObject.name="+p.name+",reason="+reason,
			"--output", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)
		return message != "", message
	})
	return message
}

// apply creates objects, which are deleted at the end of the test.
func apply(t *testing.T, manifest string) {
	t.Helper()
	if out, err := node.kubectl(manifest, "apply", "--filename", "-"); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, manifest)
	}
}

// see runs kubectl, which has to work, and gives what it prints.
func see(t *testing.T, args ...string) string {
	t.Helper()
	out, err := node.kubectl("", args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// show is see for what is worth reading.
func show(t *testing.T, args ...string) string {
	t.Helper()
	out := see(t, args...)
	t.Logf("$ kubectl %s\n%s", strings.Join(args, " "), out)
	return out
}

// wait is until, and the test is over if the answer is never yes.
func wait(t *testing.T, what string, yes func() (bool, string)) {
	t.Helper()
	if err := until(what, yes); err != nil {
		t.Fatal(err)
	}
}

// contains checks that a text has a part.
func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%q isn't in %q", part, text)
	}
}

// random is so many bytes.
func random(t *testing.T, n int) string {
	t.Helper()
	content := make([]byte, n)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	return string(content)
}
