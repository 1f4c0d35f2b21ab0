package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// closed is an inline volume of a registry that wants a login, with a secret's.
func closed(reference, secret string) string {
	return fmt.Sprintf(`csi: {driver: %s, readOnly: true, nodePublishSecretRef: {name: %s}, volumeAttributes: {plainHTTP: "true", reference: %q}}`,
		driverName, secret, reference)
}

func pushClosed(t *testing.T) (registry, string) {
	t.Helper()
	r := closedRegistry(t)
	return r, r.push(t, "private/tiny:v1", map[string]string{"weights.bin": "for a few\n"}, "--username", username, "--password", password)
}

// applySecret creates a secret, or changes it, until the end of the test.
func applySecret(t *testing.T, r registry, name, password string) {
	t.Helper()
	apply(t, r.secret(t, name, password))
	t.Cleanup(func() { see(t, "delete", "secret", name, "--ignore-not-found") })
}

// A secret is good for the pod that names it, and what it fetched isn't for a pod
// without it, although the node has it by then.
func TestASecretIsForThePodThatNamesIt(t *testing.T) {
	r, reference := pushClosed(t)
	applySecret(t, r, "login", password)
	with := pod{name: "with-secret", volume: closed(reference, "login"), script: "cat /data/weights.bin" + stay}
	with.run(t)
	with.says(t, "for a few")

	without := pod{name: "without-secret", volume: inline(fmt.Sprintf("reference: %q", reference)), script: "cat /data/weights.bin" + stay}
	without.create(t)
	message := without.event(t, "FailedMount")
	t.Log(message)
	contains(t, message, reference)
	without.delete(t)
	with.delete(t)
	leavesNothing(t)
}

// A wrong password is told of in words, in the pod's events, and nobody has to start
// the pod anew once the secret is right.
func TestAWrongSecretIsToldAndMended(t *testing.T) {
	r, reference := pushClosed(t)
	const wrong = "wr0ng-p4ssword"
	applySecret(t, r, "wrong-login", wrong)
	p := pod{name: "wrong-secret", volume: closed(reference, "wrong-login"), script: "cat /data/weights.bin" + stay}
	p.create(t)
	message := p.event(t, "FailedMount")
	show(t, "get", "events", "--field-selector", "involvedObject.name="+p.name)
	contains(t, message, reference)
	contains(t, message, "doesn't accept the login")
	if strings.Contains(message, wrong) {
		t.Error("the event has the password:", message)
	}
	applySecret(t, r, "wrong-login", password)
	p.running(t)
	p.says(t, "for a few")
	p.delete(t)
	leavesNothing(t)
}
