package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
)

// A workplace is Images with what they keep things in, and its layers.
type workplace struct {
	*Images
	stop    context.CancelFunc
	running sync.WaitGroup
	lent    atomic.Int64
	most    atomic.Int64 // that was lent at once
	mu      sync.Mutex   // guards kept
	kept    map[string][]byte
	full    bool // nothing is kept any more
}

func newWorkplace(t *testing.T, memory int64) *workplace {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &workplace{stop: stop, kept: map[string][]byte{}}
	w.Images = New(Options{Memory: memory, Lend: w.lend, Store: w, Log: slog.New(slog.DiscardHandler), Context: ctx, Run: w.run})
	t.Cleanup(w.end)
	return w
}

func (w *workplace) lend(n int64) {
	lent := w.lent.Add(n)
	for most := w.most.Load(); lent > most && !w.most.CompareAndSwap(most, lent); most = w.most.Load() {
	}
}

func (w *workplace) run(do func() error, ended func(error)) bool {
	w.running.Go(func() { ended(do()) })
	return true
}

// end ends all that runs. It is a failure if that doesn't.
func (w *workplace) end() {
	w.stop()
	w.running.Wait()
	w.Close()
}

func (w *workplace) Index(key string) ([]byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	raw, ok := w.kept[key]
	return raw, ok
}

func (w *workplace) PutIndex(key string, index []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full {
		return false
	}
	w.kept[key] = index
	return true
}

// An archiveStore keeps what archives make, in the workplace.
type archiveStore struct{ *workplace }

// Keep implements archive.Store.
func (archiveStore) Keep(ctx context.Context, _ string, _ int64, fill func(context.Context) ([]byte, error)) ([]byte, error) {
	return fill(context.WithoutCancel(ctx))
}

// Kept implements archive.Store.
func (archiveStore) Kept(string) ([]byte, bool) { return nil, false }

// Derive implements archive.Store: these layers need none.
func (archiveStore) Derive(digest.Digest, int64, func(context.Context) (io.ReadCloser, error)) (archive.DerivedBlob, error) {
	return nil, errors.New("nothing is derived here")
}

// A testBlob is a layer whose bytes arrive when they are let.
type testBlob struct {
	data       []byte
	verified   atomic.Bool
	generation atomic.Uint64
	opened     atomic.Int64 // times it was opened
	open       atomic.Int64 // and is
	asked      atomic.Int64 // times it was asked for bytes
	reads      atomic.Int64 // bytes that it gave

	mu      sync.Mutex // guards what follows
	here    int        // bytes that have arrived
	arrived chan struct{}
	err     error // of what comes then
}

func newBlob(data []byte) *testBlob {
	b := &testBlob{data: data, here: len(data), arrived: make(chan struct{})}
	b.generation.Store(1)
	return b
}

// let lets the bytes up to an offset arrive, and then err.
func (b *testBlob) let(to int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.here, b.err = to, err
	close(b.arrived)
	b.arrived = make(chan struct{})
}

func (b *testBlob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	b.asked.Add(1)
	for {
		b.mu.Lock()
		here, err, arrived := b.here, b.err, b.arrived
		b.mu.Unlock()
		if off+int64(len(p)) <= int64(here) {
			b.reads.Add(int64(len(p)))
			return copy(p, b.data[off:]), nil
		}
		if err != nil {
			return 0, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (b *testBlob) Verified() bool { return b.verified.Load() }

func (b *testBlob) Generation() uint64 { return b.generation.Load() }

func (b *testBlob) Close() error {
	b.open.Add(-1)
	return nil
}

// source is a layer of a blob.
func (w *workplace) source(b *testBlob) *Source {
	src := &Source{Source: archive.Source{
		Digest: digest.FromBytes(b.data), Size: int64(len(b.data)), Store: archiveStore{w}, Log: slog.New(slog.DiscardHandler),
	}}
	src.Key = src.Digest.String()
	src.Open = func() (Blob, error) {
		b.opened.Add(1)
		b.open.Add(1)
		return b, nil
	}
	return src
}

// sources is a Maker.
type sources []*Source

func (s sources) Sources(context.Context) ([]*Source, error) { return s, nil }

// image is an image of blobs.
func (w *workplace) image(name string, blobs ...*testBlob) *Image {
	var s sources
	for _, b := range blobs {
		s = append(s, w.source(b))
	}
	return w.Image(name, false, s)
}

// A named is a file of a test's tar: a directory's name ends with a slash.
type named struct{ name, content string }

func tarOf(t *testing.T, files ...named) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.content))}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// noise is content that doesn't compress.
func noise(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// large is a gzip layer of some files of 1 MiB in d/.
func large(t *testing.T, files int) []byte {
	t.Helper()
	list := []named{{"d/", ""}}
	for i := range files {
		list = append(list, named{fmt.Sprintf("d/%02d", i), noise(t, 1<<20)})
	}
	return gzipOf(t, tarOf(t, list...))
}

// passing is an image of one layer whose pass has come by d/00 and goes on.
func (w *workplace) passing(t *testing.T) (b *testBlob, m *Image, tree *Tree, n archive.Node) {
	t.Helper()
	b = newBlob(large(t, 8))
	b.let(5<<20, nil)
	m = w.image("app", b)
	tree, n, ok, err := m.Find(t.Context(), "d/00")
	if err != nil || !ok || !tree.Partial() {
		t.Fatalf("d/00 isn't found early: %v, %v", ok, err)
	}
	return b, m, tree, n
}

func content(t *testing.T, m *Image, tree *Tree, n archive.Node) string {
	t.Helper()
	f, err := m.Open(t.Context(), tree, n)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, n.Attr().Size)
	if _, err := f.ReadAt(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
	return string(p)
}
