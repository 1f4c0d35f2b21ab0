package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestKeepFillsOnce(t *testing.T) {
	c := open(t, Options{})
	var fills atomic.Int32
	began, proceed := make(chan struct{}), make(chan struct{})
	fill := func(context.Context) ([]byte, error) {
		if fills.Add(1) == 1 {
			close(began)
		}
		<-proceed
		return []byte("kept"), nil
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			if data, err := c.Keep(t.Context(), "key", 4, fill); err != nil || string(data) != "kept" {
				t.Errorf("%q, %v", data, err)
			}
		})
	}
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Keep(ctx, "key", 4, fill); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	close(proceed)
	readers.Wait()
	if data, err := c.Keep(t.Context(), "key", 4, fill); err != nil || string(data) != "kept" {
		t.Errorf("%q, %v", data, err)
	}
	if n := fills.Load(); n != 1 {
		t.Errorf("it was made %d times", n)
	}
}

func TestKeepRemembersNoError(t *testing.T) {
	c := open(t, Options{})
	failed := errors.New("failed")
	if _, err := c.Keep(t.Context(), "key", 1, func(context.Context) ([]byte, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	data, err := c.Keep(t.Context(), "key", 1, func(context.Context) ([]byte, error) { return []byte("x"), nil })
	if err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestIndexSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	const name = "sha256:0123-1-"
	c.PutIndex(name, []byte("index"))
	shut(t, c)
	c = open(t, Options{Dir: dir})
	if data, ok := c.Index(name); !ok || string(data) != "index" {
		t.Errorf("%q, %v", data, ok)
	}
	for _, name := range []string{"", "other", "../escape", "a/b", ".hidden", "nul\x00"} {
		c.PutIndex(name, nil)
		if data, ok := c.Index(name); ok && name != "other" {
			t.Errorf("%q: %q", name, data)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "escape")); err == nil {
		t.Error("a file outside of the directory")
	}
	c = open(t, Options{})
	c.PutIndex(name, []byte("index"))
	if _, ok := c.Index(name); ok {
		t.Error("an index without a disk")
	}
}

// An unpacking is a blob that is made of another one in the same cache.
type unpacking struct {
	reader *Reader
	size   int64
	calls  atomic.Int32
}

func (u *unpacking) Unpacks() {}

func (u *unpacking) Fetch(ctx context.Context, _, _ int64, _ <-chan struct{}) (io.ReadCloser, bool, error) {
	u.calls.Add(1)
	return io.NopCloser(&unpacked{ctx, u, 0}), true, nil
}

type unpacked struct {
	ctx context.Context
	u   *unpacking
	off int64
}

func (b *unpacked) Read(p []byte) (int, error) {
	if b.off == b.u.size {
		return 0, io.EOF
	}
	n, err := b.u.reader.ReadAt(b.ctx, p[:min(int64(len(p)), b.u.size-b.off)], b.off)
	for i := range n {
		p[i] ^= 0xff
	}
	b.off += int64(n)
	return n, err
}

// One slot must do for both, and one pass for all readers; a restart needs none.
func TestUnpackedBlob(t *testing.T) {
	dir := t.TempDir()
	s := newSource(random(largeSize, 40))
	want := bytes.Clone(s.content)
	for i := range want {
		want[i] ^= 0xff
	}
	k := Key{Origin: "registry.example", Digest: digest.FromBytes(want), Size: largeSize}
	for restart, passes := range []int32{1, 0} {
		c := open(t, Options{Dir: dir, Concurrency: 1, Memory: 4 << 20, WaitForDisk: true})
		r, _ := reader(t, c, s.key(), s)
		u := &unpacking{reader: r, size: largeSize}
		_, done := reader(t, c, k, u) // with the last one, its stream would end
		if got, err := readPart(t, c, k, u, 5<<20, 100); err != nil || !bytes.Equal(got, want[5<<20:][:100]) {
			t.Errorf("restart %d: a part: %v", restart, err)
		}
		mustRead(t, c, k, u, want)
		if n := u.calls.Load(); n != passes {
			t.Errorf("restart %d: unpacked %d times, want %d", restart, n, passes)
		}
		done()
		shut(t, c)
	}
}
