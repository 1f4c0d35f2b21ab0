package fs

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/fs/images"
	"github.com/orasfs/orasfs/resolver"
)

// A buggyNode panics at every name.
type buggyNode struct{ node }

func (n *buggyNode) Lookup(context.Context, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	panic("a bug in a lookup")
}

// loggedTree is a tree without anything to ask, and its log.
func loggedTree(t *testing.T) (*tree, *logBuffer) {
	t.Helper()
	var log logBuffer
	o := Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
	o.setDefaults()
	tree := newTree(t.Context(), o)
	t.Cleanup(tree.close)
	return tree, &log
}

// A logBuffer is a log that is read while others write to it.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A request whose handler panics is answered with EIO, again and again.
func TestPanicInHandler(t *testing.T) {
	tree, log := loggedTree(t)
	k := newKernel(t, &buggyNode{node{tree: tree}}, tree.kernelOptions(&Options{}))
	for range 3 {
		if errno := k.ask(opLookup, fuse.FUSE_ROOT_ID, nil, "name", &fuse.EntryOut{}); errno != syscall.EIO {
			t.Errorf("the answer is %v, not EIO", errno)
		}
	}
	wantStack(t, log, "a bug in a lookup", "buggyNode")
}

// What a tree runs in goroutines of its own gives an error to who waits.
func TestPanicInGoroutine(t *testing.T) {
	tree, log := loggedTree(t)
	_, err := ask(t.Context(), tree, "key", func(context.Context) (int, error) { panic("a bug in an answer") })
	if err == nil || !strings.Contains(err.Error(), "a bug in an answer") {
		t.Errorf("an answer that panics: %v", err)
	}
	d := &directory{
		tree: tree, fail: func(err error) syscall.Errno { return tree.errno(t.Context(), "list", "x", err) },
		list: func(_ context.Context, emit func([]fuse.DirEntry) error) error {
			if err := emit([]fuse.DirEntry{{Name: "a"}}); err != nil {
				return err
			}
			panic("a bug in a listing")
		},
	}
	if e, errno := d.Readdirent(t.Context()); e == nil || errno != 0 {
		t.Errorf("the first entry: %v, %v", e, errno)
	}
	if e, errno := d.Readdirent(t.Context()); e != nil || errno != syscall.EIO {
		t.Errorf("after a panic: %v, %v", e, errno)
	}
	d.Releasedir(t.Context(), 0)
	wantStack(t, log, "a bug in an answer", "TestPanicInGoroutine")
	wantStack(t, log, "a bug in a listing", "TestPanicInGoroutine")
}

// An opening ends with an error, whether the panic is in what looks for the
// layers or in what opens one.
func TestPanicInOpening(t *testing.T) {
	for name, a := range map[string]*repositoryArtifact{
		"imageLayers.Sources": {},
		"(*layer).open":       {Manifest: &resolver.Manifest{Layers: []ocispec.Descriptor{{Digest: "sha256:a"}, {Digest: "sha256:b"}}}, Artifact: &artifact.Artifact{}},
	} {
		tree, log := loggedTree(t)
		r, d := &repository{tree: tree, name: "app"}, digest.FromString("")
		a.repo = r // it has nowhere to get a blob from
		tree.images = images.New(images.Options{Lend: func(int64) {}, Store: keepsNothing{}, Log: tree.log, Context: tree.ctx, Run: tree.run})
		tree.artifacts.byKey.Add("app@"+d.String(), a)
		_, err := imageLayers{r, d, artifact.AllLayers}.image().Tree(t.Context())
		if err == nil || !strings.Contains(err.Error(), "panic") {
			t.Errorf("%s: the opening ended with %v", name, err)
		}
		tree.running.Wait() // the other layer's line is written as well
		wantStack(t, log, "nil pointer", name)
	}
}

func wantStack(t *testing.T, log *logBuffer, words ...string) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		found := strings.Contains(line, "stack=")
		for _, w := range words {
			found = found && strings.Contains(line, w)
		}
		if found {
			return
		}
	}
	t.Errorf("no line with %q and a stack in\n%s", words, log)
}

// Goroutines start in one place, where they are guarded; archive's pass has a guard of
// its own.
func TestOneDoor(t *testing.T) {
	own, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Concat(own, below) {
		if strings.HasSuffix(file, "_test.go") || file == "guard.go" || file == "mount.go" || file == "archive/pass.go" {
			continue // mount.go starts go-fuse's server, which guards what it calls
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine: tree.run does", file)
			}
			return true
		})
	}
}
