// Package test holds the tests that look at orasfs as a whole: at its layers
// here, at a mount in mount/.
package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/orasfs/orasfs"

// oracles are what test/differential holds orasfs against. Each stands for a
// container runtime, of which orasfs is no part: it must not come to rest on one,
// and nothing of them belongs into the program.
var oracles = []string{"github.com/containerd", "github.com/opencontainers/umoci"}

// watching are what a running mount is looked at with. What counts something knows
// nobody who asks for the count: that is the command's business alone.
var watching = []string{"github.com/prometheus", "github.com/coreos/go-systemd", "expvar", "net/http/pprof"}

// cluster are what objects of Kubernetes are made of. Tests read manifests with them, and
// the driver itself never calls a cluster.
var cluster = []string{"k8s.io", "sigs.k8s.io"}

// A layer is a package of orasfs and what it must not depend on, however far
// down. An import path stands for all below it too.
type layer struct {
	path   string
	never  []string
	except []string // of orasfs, what it may depend on all the same
	// systems are those that it is for; nil is all.
	systems []string
}

var layers = []layer{
	{path: "resolver", never: []string{module, "github.com/hanwen/go-fuse"}},
	{path: "cache", never: []string{module, "github.com/hanwen/go-fuse", "net/http"}},
	{path: "fs/archive", never: []string{module, "github.com/hanwen/go-fuse", "net/http"}, except: []string{"fs/archive/deflate"}},
	{path: "fs/archive/deflate", never: []string{module}},
	{path: "fs/artifact", never: []string{module, "github.com/hanwen/go-fuse", "net/http"}},
	{path: "fs/export", never: []string{module, "github.com/hanwen/go-fuse"}, except: []string{"resolver"}},
	{path: "fs/images", never: []string{module, "github.com/hanwen/go-fuse", "net/http"}, except: []string{"fs/archive", "fs/archive/deflate"}},
	{path: "fs/signed", never: []string{module, "github.com/hanwen/go-fuse", "net/http"}},
	{path: "fs", never: []string{module}, except: []string{"resolver", "cache", "fs/archive", "fs/archive/deflate", "fs/artifact", "fs/export", "fs/images", "fs/signed"}},
	{path: "cmd/orasfs", never: []string{module + "/test"}},
	{path: "cmd/orasfs-csi", systems: []string{"linux"}, never: []string{module}},
}

// TestLayers holds the dependencies against the design: they point one way,
// on every system that orasfs compiles for.
func TestLayers(t *testing.T) {
	for _, system := range []string{"linux", "darwin"} {
		for _, l := range layers {
			if l.systems != nil && !slices.Contains(l.systems, system) {
				continue
			}
			l.never = slices.Concat(l.never, oracles, cluster)
			if !strings.HasPrefix(l.path, "cmd/") {
				l.never = append(l.never, watching...)
			}
			t.Run(system+"/"+l.path, func(t *testing.T) {
				if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(l.path))); err != nil {
					t.Skipf("there is no %s yet", l.path)
				}
				for _, path := range dependencies(t, system, l.path) {
					if !l.allows(path) {
						t.Errorf("%s depends on %s", l.path, path)
					}
				}
			})
		}
	}
}

func (l layer) allows(path string) bool {
	allowed := append([]string{l.path}, l.except...)
	if slices.ContainsFunc(allowed, func(p string) bool { return path == module+"/"+p }) {
		return true
	}
	return !slices.ContainsFunc(l.never, func(p string) bool { return within(path, p) })
}

// within tells whether an import path is parent or below it; versions of a
// module are below it.
func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

// dependencies lists all that a package is built from, itself included.
func dependencies(t *testing.T, system, path string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+path)
	list.Dir = ".."
	list.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list -deps ./%s: %v", path, err)
	}
	paths := strings.Fields(string(out))
	if !slices.Contains(paths, module+"/"+path) {
		t.Fatalf("go list -deps ./%s doesn't list it: %q", path, paths)
	}
	return paths
}
