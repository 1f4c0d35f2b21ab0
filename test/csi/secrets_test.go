//go:build linux

package csi

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// secret is one of type kubernetes.io/dockerconfigjson.
func secret(host, username, password string) map[string]string {
	auth := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	return map[string]string{".dockerconfigjson": fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth)}
}

// podWith is a pod with a secret.
func (n *node) podWith(name string, attributes, secrets map[string]string) *pod {
	n.t.Helper()
	p := n.pod(name, attributes)
	p.secrets = secrets
	return p
}

// mustNotKnow fails a test where a credential is anywhere that it shouldn't be: in a file
// that isn't memory's, in what processes are called with and have around them, in the log
// or in an error.
func (n *node) mustNotKnow(password string, errs ...error) {
	n.t.Helper()
	forms := []string{password, base64.StdEncoding.EncodeToString([]byte("user:" + password))}
	look := func(where string, text []byte) {
		n.t.Helper()
		for _, form := range forms {
			if bytes.Contains(text, []byte(form)) {
				n.t.Errorf("the password is in %s", where)
			}
		}
	}
	for _, err := range errs {
		look("an error", []byte(err.Error()))
	}
	look("the log", []byte(n.log.String()))
	for _, pid := range n.processes() {
		for _, file := range []string{"cmdline", "environ"} {
			path := fmt.Sprintf("/proc/%d/%s", pid, file)
			if text, err := os.ReadFile(path); err == nil { //nolint:gosec // of a process, which may be gone
				look(path, text)
			}
		}
	}
	inMemory := filepath.Join(n.state(), "secrets")
	err := filepath.WalkDir(n.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case path == inMemory || path == n.pods() || path == filepath.Join(n.state(), "mounts"):
			return fs.SkipDir
		case err != nil || !d.Type().IsRegular():
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // the driver's
		look(path, text)
		return err
	})
	if err != nil {
		n.t.Error(err)
	}
}

// closed are the ways in which a registry asks who it is.
var closed = map[string]func(fake *fakeregistry.Registry, password string){
	"basic":  func(fake *fakeregistry.Registry, password string) { fake.RequireBasic("user", password) },
	"bearer": func(fake *fakeregistry.Registry, password string) { fake.RequireBearer("user", password, "", false) },
}

// A registry that needs a login is read with the right secret alone: by none with a
// wrong one or without, also when the artifact is in the node's cache and the registry
// gone.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const right, wrong = "rightcorrect", "wrongincorrect"
	for name, closeTo := range closed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, host := serve(t)
			artifact := push(fake, "org/model", "v1", "weights", "one")
			closeTo(fake, right)
			n := newNode(t)
			byTag := map[string]string{"reference": host + "/org/model:v1"}
			byDigest := map[string]string{"reference": host + "/org/model@" + artifact.Digest.String()}
			strangers := []*pod{
				n.podWith("wrong-tag", byTag, secret(host, "user", wrong)), n.podWith("wrong-digest", byDigest, secret(host, "user", wrong)),
				n.pod("none-tag", byTag), n.pod("none-digest", byDigest),
				n.podWith("other", byTag, secret("registry.example", "user", right)),
			}
			refused := func() {
				t.Helper()
				for _, p := range strangers {
					err := p.publish()
					mustSay(t, err, host, "login", "credentials")
					n.mustNotKnow(wrong, err)
					n.mustNotKnow(right, err)
					if _, err := os.Lstat(p.target); !os.IsNotExist(err) {
						t.Errorf("%s is there: %v", p.target, err)
					}
				}
			}
			refused()
			n.mustBeEmpty()
			a, b := n.podWith("right-tag", byTag, secret(host, "user", right)), n.podWith("right-digest", byDigest, secret(host, "user", right))
			a.mustPublish()
			a.mustHold("weights", "one")
			b.mustPublish()
			b.mustHold("weights", "one")
			refused()
			fake.Inject(fakeregistry.Fault{Reset: true})
			var waiting sync.WaitGroup // for registries, at once
			for _, p := range strangers {
				waiting.Go(func() {
					err := p.publish()
					if err == nil || !strings.Contains(err.Error(), host) {
						t.Errorf("%s without a registry: %v", p.id, err)
						return
					}
					n.mustNotKnow(wrong, err)
				})
			}
			waiting.Wait()
			a.mustHold("weights", "one")
			n.mustNotKnow(right)
		})
	}
}

// A secret's programs don't run, and what isn't a Docker config is refused in words that
// show nothing of it.
func TestOddSecrets(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	fake.RequireBasic("user", "right")
	n := newNode(t)
	// On the path that a driver gives what it starts.
	ran, helper := n.path("ran"), filepath.Base(n.dir)
	program := filepath.Join("/usr/local/bin", "docker-credential-"+helper)
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntouch "+ran+"\necho '{\"Username\":\"user\",\"Secret\":\"right\"}'\n"), 0o755); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(program); err != nil {
			t.Error(err)
		}
	})
	const hidden = "my-hidden-text"
	for name, tc := range map[string]struct {
		secrets map[string]string
		words   string
	}{
		"helper":   {map[string]string{".dockerconfigjson": fmt.Sprintf(`{"auths":{},"credHelpers":{%q:%q},"credsStore":%q}`, host, helper, helper)}, "wants a login"},
		"password": {map[string]string{"username": "user", "password": hidden}, "kubernetes.io/dockerconfigjson"},
		"old":      {map[string]string{".dockercfg": hidden}, "kubernetes.io/dockerconfigjson"},
		"no-json":  {map[string]string{".dockerconfigjson": hidden}, "JSON"},
		"list":     {map[string]string{".dockerconfigjson": `{"auths":["` + hidden + `"]}`}, "JSON"},
		"entry":    {map[string]string{".dockerconfigjson": fmt.Sprintf(`{"auths":{%q:%q}}`, host, hidden)}, ""},
	} {
		err := n.podWith(name, map[string]string{"reference": host + "/org/model:v1"}, tc.secrets).publish()
		mustSay(t, err, tc.words)
		if strings.Contains(fmt.Sprint(err), hidden) {
			t.Errorf("%s: %v shows what the secret has", name, err)
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a program that a secret names has run on the node")
	}
	n.mustBeEmpty()
}

// A password is changed while pods run: the process that serves them has it once one has
// been published with it, and whoever comes with the old one has nothing.
func TestNewPassword(t *testing.T) {
	t.Parallel()
	for name, closeTo := range closed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, host := serve(t)
			files := pushFiles(fake, "org/model", "v1", map[string]string{"first": noise(t, 1, 300<<10), "second": noise(t, 2, 300<<10), "third": noise(t, 3, 300<<10)})
			closeTo(fake, "old-password")
			n := newNode(t)
			attributes := map[string]string{"reference": host + "/org/model:v1"}
			a, b := n.podWith("a", attributes, secret(host, "user", "old-password")), n.podWith("b", attributes, secret(host, "user", "old-password"))
			a.mustPublish()
			b.mustPublish()
			a.mustHold("first", noise(t, 1, 300<<10))
			serving := n.processes()
			if len(serving) != 1 {
				t.Errorf("%d processes serve one artifact with one password", len(serving))
			}
			closeTo(fake, "new-password")
			late := n.podWith("late", attributes, secret(host, "user", "old-password"))
			a.secrets = secret(host, "user", "new-password")
			a.mustPublish()
			a.mustHold("second", noise(t, 2, 300<<10))
			// One whose secret is late doesn't take it away again.
			if err := b.publish(); err != nil {
				t.Error(err)
			}
			if got := fetched(fake, files["third"]); got != 0 {
				t.Fatalf("%d bytes were fetched that nobody has read", got)
			}
			a.mustHold("third", noise(t, 3, 300<<10))
			if now := n.processes(); len(now) != 1 || now[0] != serving[0] {
				t.Errorf("%v served, then %v", serving, now)
			}
			err := late.publish()
			mustSay(t, err, host, "login", "credentials")
			if now := n.processes(); len(now) != 1 {
				t.Errorf("processes %v", now)
			}
			n.mustNotKnow("new-password", err)
			n.mustNotKnow("old-password", err)
		})
	}
}

// The same secret in two namespaces is two.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	n := newNode(t)
	attributes := map[string]string{"reference": host + "/org/model:v1"}
	open := []*pod{n.pod("open", attributes), n.pod("open-elsewhere", attributes)}
	closed := []*pod{n.podWith("a", attributes, secret(host, "user", "pw")), n.podWith("b", attributes, secret(host, "user", "pw")), n.podWith("c", attributes, secret(host, "user", "pw"))}
	open[1].attributes["csi.storage.k8s.io/pod.namespace"] = "elsewhere"
	closed[2].attributes["csi.storage.k8s.io/pod.namespace"] = "elsewhere"
	for _, p := range append(open, closed...) {
		p.mustPublish()
		p.mustHold("weights", "one")
	}
	if pids := n.processes(); len(pids) != 3 {
		t.Errorf("%d processes: want one without a secret, and one for each namespace", len(pids))
	}
	if secrets := n.left("secrets"); len(secrets) != 4 { // and two that aren't credentials
		t.Errorf("credentials: %v", secrets)
	}
}
