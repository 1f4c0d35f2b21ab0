//go:build linux

package csi

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// Many pods of one artifact come to a node at once: one process serves them, and each
// byte is fetched once.
func TestManyPods(t *testing.T) {
	t.Parallel()
	fake, reference, content, got := serveModel(t)
	n := newNode(t)
	var pods sync.WaitGroup
	for i := range 20 {
		p := n.pod(fmt.Sprintf("pod-%d", i), map[string]string{"reference": reference})
		pods.Go(func() {
			if err := p.publish(); err != nil {
				t.Errorf("%s: %v", p.id, err)
				return
			}
			for name, text := range content {
				if output, err := p.run("cat", name); err != nil || output != text {
					t.Errorf("%s of %s: %d bytes, %v", name, p.id, len(output), err)
				}
			}
		})
	}
	pods.Wait()
	if pids := n.processes(); len(pids) != 1 {
		t.Errorf("%d processes serve one artifact", len(pids))
	}
	for name, size := range model {
		if got(name) != size {
			t.Errorf("%d bytes of %s were fetched, which has %d", got(name), name, size)
		}
	}
	if manifests := fake.Count("GET", "/manifests/"); manifests != 1 {
		t.Errorf("the manifest was fetched %d times", manifests)
	}
}

// Three nodes have one mirror: it is asked for everything, and the registry for nothing.
func TestMirror(t *testing.T) {
	t.Parallel()
	fake, reference, content, _ := serveModel(t)
	mirror, mirrorHost := serve(t)
	pushFiles(mirror, "org/model", "v1", content)
	readByNodes(t, 3, reference, mirrorHost, content)
	asksForNoContent(t, fake)
}

// Nodes have one mirror, a pull-through cache, which alone asks the registry.
func TestPullThroughCache(t *testing.T) {
	t.Parallel()
	fake, reference, content, got := serveModel(t)
	host, _, _ := strings.Cut(reference, "/")
	readByNodes(t, 3, reference, startPullThrough(t, host), content)
	for name, size := range model {
		// While it hasn't stored a blob it fetches all of it for each who asks for a part.
		if got(name) > 3*size {
			t.Errorf("the registry sent %s more than once for each node", name)
		}
	}
	for _, r := range fake.Requests() {
		if r.Path != "/v2/" && strings.Contains(r.Header.Get("User-Agent"), "orasfs") {
			t.Errorf("the registry was asked past the cache: %s %s", r.Method, r.Path)
		}
	}
}

// asksForNoContent fails a test where a registry was asked for more than whether it is
// one.
func asksForNoContent(t *testing.T, fake *fakeregistry.Registry) {
	t.Helper()
	for _, r := range fake.Requests() {
		if r.Path != "/v2/" {
			t.Errorf("the registry was asked: %s %s", r.Method, r.Path)
		}
	}
}

// readByNodes has a pod on each of so many nodes read a model through a mirror, at once.
func readByNodes(t *testing.T, count int, reference, mirror string, content map[string]string) {
	t.Helper()
	host, _, _ := strings.Cut(reference, "/")
	hosts := t.TempDir()
	dir := filepath.Join(hosts, strings.Replace(host, ":", "_", 1)+"_")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), fmt.Appendf(nil, "[host.\"http://%s\"]\n", mirror), 0o600); err != nil {
		t.Fatal(err)
	}
	var nodes sync.WaitGroup
	for range count {
		n := newNode(t, "--hosts-dir="+hosts, "--timeout=2m") // a busy mirror isn't passed over
		p := n.pod("a", map[string]string{"reference": reference})
		nodes.Go(func() {
			if err := p.publish(); err != nil {
				t.Error(err)
				return
			}
			for name, text := range content {
				if output, err := p.run("cat", name); err != nil || output != text {
					t.Errorf("%s: %d bytes, %v", name, len(output), err)
				}
			}
		})
	}
	nodes.Wait()
}
