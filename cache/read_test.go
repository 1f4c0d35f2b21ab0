package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
)

const largeSize = 9<<20 + 12345

// Every case of these is a way to have a cache; what a reader sees is the same.
var kinds = map[string]func(t *testing.T) Options{
	"disk":       func(t *testing.T) Options { return Options{Dir: t.TempDir(), Memory: 64 << 20} },
	"memory":     func(*testing.T) Options { return Options{Memory: 64 << 20} },
	"tinyMemory": func(*testing.T) Options { return Options{Memory: 1 << 20} },
	"tinyDisk":   func(t *testing.T) Options { return Options{Dir: t.TempDir(), Size: 2 << 20, Memory: 1 << 20} },
	"full":       func(t *testing.T) Options { return Options{Dir: t.TempDir(), Verify: VerifyFull, Memory: 4 << 20} },
	"one":        func(t *testing.T) Options { return Options{Dir: t.TempDir(), Concurrency: 1, Memory: 4 << 20} },
}

func TestReadGivesTheContent(t *testing.T) {
	sizes := []int{0, 1, 12, ChunkSize, ChunkSize + 1, SmallBlob - 1, SmallBlob, SmallBlob + 1, 5 << 20, largeSize}
	for _, size := range sizes {
		content := random(size, 1)
		for kind, options := range kinds {
			for _, ignores := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/ignores=%v", kind, size, ignores), func(t *testing.T) {
					t.Parallel()
					s := newSource(content)
					s.ignores = ignores
					c := open(t, options(t))
					pieces := []int{pieceOf(size), 1 << 20}
					if testing.Short() {
						pieces = pieces[:1]
					}
					for _, piece := range pieces {
						mustReadIn(t, c, s.key(), s, content, piece)
					}
				})
			}
		}
	}
}

// pieceOf is the length of a read that fits no chunk. A small blob is one chunk,
// which is fetched for each read where there is no room to keep it.
func pieceOf(size int) int {
	if size <= SmallBlob {
		return size/4 + 1
	}
	return 100_000
}

func TestReadAtAnyPlace(t *testing.T) {
	s := newSource(random(largeSize, 2))
	c := open(t, Options{Dir: t.TempDir()})
	r, _ := reader(t, c, s.key(), s)
	for _, tc := range []struct {
		off int64
		n   int
		got int
		err error
	}{
		{0, 10, 10, nil},
		{ChunkSize - 5, 10, 10, nil},
		{3*ChunkSize - 1, 2*ChunkSize + 2, 2*ChunkSize + 2, nil},
		{largeSize - 10, 10, 10, nil},
		{largeSize - 10, 11, 10, io.EOF},
		{largeSize, 1, 0, io.EOF},
		{largeSize + 100, 1, 0, io.EOF},
		{5, 0, 0, nil},
		{0, largeSize, largeSize, nil},
		{0, largeSize + 1, largeSize, io.EOF},
	} {
		p := make([]byte, tc.n)
		n, err := r.ReadAt(t.Context(), p, tc.off)
		if n != tc.got || !errors.Is(err, tc.err) {
			t.Errorf("%d bytes at %d: got %d, %v; want %d, %v", tc.n, tc.off, n, err, tc.got, tc.err)
		}
		if n > 0 && !bytes.Equal(p[:n], s.content[tc.off:tc.off+int64(n)]) {
			t.Errorf("%d bytes at %d: wrong content", tc.n, tc.off)
		}
	}
	if _, err := r.ReadAt(t.Context(), make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("negative offset: got %v", err)
	}
}

func TestInterruptedReaderLeavesTheOther(t *testing.T) {
	s := newSource(random(largeSize, 10))
	asked, proceed := make(chan struct{}), make(chan struct{})
	s.hold = func(ctx context.Context, _ int, _ int64) error {
		close(asked)
		select {
		case <-proceed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c := open(t, Options{Dir: t.TempDir()})
	r1, _ := reader(t, c, s.key(), s)
	r2, _ := reader(t, c, s.key(), s)
	ctx, interrupt := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	p := make([]byte, 100)
	go func() {
		_, err := r1.ReadAt(ctx, make([]byte, 100), 0)
		first <- err
	}()
	<-asked
	go func() {
		_, err := r2.ReadAt(t.Context(), p, 0)
		second <- err
	}()
	interrupt()
	if err := <-first; err != context.Canceled { //nolint:errorlint // it must be the same
		t.Errorf("the interrupted reader got %v", err)
	}
	close(proceed)
	if err := <-second; err != nil {
		t.Errorf("the other reader got %v", err)
	}
	mustEqual(t, p, s.content[:100])
	if s.fetches() != 1 {
		t.Errorf("%d fetches", s.fetches())
	}
}

func TestReadAllIsForSmallBlobs(t *testing.T) {
	c := open(t, Options{})
	for _, size := range []int{0, 12, SmallBlob} {
		s := newSource(random(size, 11))
		b, err := c.Blob(s.key(), s)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := b.ReadAll(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			mustEqual(t, got, s.content)
			clear(got) // it is the caller's
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadAll(t.Context()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	s := newSource(random(SmallBlob+1, 11))
	b, err := c.Blob(s.key(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadAll(t.Context()); err == nil {
		t.Error("a large blob was read at once")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestImpossibleKeysAreRefused(t *testing.T) {
	c := open(t, Options{})
	good := digest.FromString("x")
	for _, k := range []Key{
		{Digest: "sha256:../../x", Size: 1},
		{Digest: "", Size: 1},
		{Digest: "md5:d41d8cd98f00b204e9800998ecf8427e", Size: 1},
		{Digest: good, Size: -1},
		{Digest: good, Size: 1 << 62},
	} {
		if _, err := c.Blob(k, newSource(nil)); err == nil {
			t.Errorf("%+v was taken", k)
		}
	}
	// A size that lies costs what is read, not what it claims.
	b, err := c.Blob(Key{Digest: good, Size: maxBlob}, newSource(random(10, 1)))
	if err != nil {
		t.Fatal(err)
	}
	r := b.Reader()
	if _, err := r.ReadAt(t.Context(), make([]byte, 1), maxBlob/2); err == nil {
		t.Error("a byte from nowhere")
	}
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestNothingWorksAfterClose(t *testing.T) {
	s := newSource(random(largeSize, 12))
	c, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := reader(t, c, s.key(), s)
	if _, err := r.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	shut(t, c)
	if _, err := r.ReadAt(t.Context(), make([]byte, 10), 5<<20); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	_, err = c.Document(t.Context(), "registry.example", s.key().Digest, func(context.Context) ([]byte, error) { return s.content, nil })
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("document: %v", err)
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	for _, verify := range []Verify{VerifyLazy, VerifyFull} {
		s := newSource(random(largeSize, 13))
		asked := make(chan struct{}, 100)
		s.hold = func(ctx context.Context, _ int, _ int64) error {
			asked <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		c, err := Open(Options{Verify: verify})
		if err != nil {
			t.Fatal(err)
		}
		r, _ := reader(t, c, s.key(), s)
		got := make(chan error)
		go func() {
			_, err := r.ReadAt(t.Context(), make([]byte, 10), 0)
			got <- err
		}()
		<-asked
		if err := c.Close(); err != nil { // nothing will settle before
			t.Fatal(err)
		}
		if err := <-got; !errors.Is(err, os.ErrClosed) {
			t.Errorf("verify %d: the reader got %v", verify, err)
		}
	}
}

func TestFetchErrorIsReportedAndNotRemembered(t *testing.T) {
	for _, size := range []int{12, largeSize} {
		s := newSource(random(size, 14))
		refused := errors.New("refused")
		s.fault = func(call int, _, _ int64) (fault, error) {
			if call == 0 {
				return fault{}, refused
			}
			return fault{}, nil
		}
		c := open(t, Options{Dir: t.TempDir()})
		if _, err := readPart(t, c, s.key(), s, 0, 10); !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		if s.fetches() != 1 {
			t.Errorf("a refusal was asked %d times", s.fetches())
		}
		mustRead(t, c, s.key(), s, s.content)
	}
}
