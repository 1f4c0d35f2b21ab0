package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// A source is a Fetcher with a blob in memory that counts what it is asked for
// and what it sends, and can be told to behave badly.
type source struct {
	content []byte
	zeros   int64 // instead of content: so many

	mu      sync.Mutex // guards what follows
	calls   [][2]int64 // off and n of each Fetch
	sent    map[int]int64
	open    int                                                  // bodies
	most    int                                                  // of those at once
	ignores bool                                                 // sends the whole blob for any range
	latency time.Duration                                        // of each Fetch
	fault   func(call int, off, n int64) (fault, error)          // may be nil
	hold    func(ctx context.Context, call int, off int64) error // before answering; may be nil
}

// A fault is what goes wrong with one body.
type fault struct {
	cut   int64 // the body ends after so many bytes; 0 is never
	stall bool  // it doesn't end then, but sends nothing more
	flip  bool  // every byte of it is wrong
	drip  bool  // it sends one byte for each read

	delay time.Duration // of each read
	piece int           // the most that a read gives; 0 is anything

	// lie is what is changed of a chunk that passes; 0 is nothing. It may be nil.
	lie func(chunk int) byte
}

// lieAt is the byte of a chunk that a lie changes.
const lieAt = 17

func newSource(content []byte) *source {
	return &source{content: content, sent: make(map[int]int64)}
}

func (s *source) key() Key {
	return Key{Origin: "registry.example", Digest: digest.FromBytes(s.content), Size: int64(len(s.content))}
}

func (s *source) Fetch(ctx context.Context, off, n int64, _ <-chan struct{}) (io.ReadCloser, bool, error) {
	s.mu.Lock()
	call := len(s.calls)
	s.calls = append(s.calls, [2]int64{off, n})
	latency, hold, ignores := s.latency, s.hold, s.ignores
	var f fault
	var err error
	if s.fault != nil {
		f, err = s.fault(call, off, n)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, false, err
	}
	if hold != nil {
		if err := hold(ctx, call, off); err != nil {
			return nil, false, err
		}
	}
	if latency > 0 {
		time.Sleep(latency)
	}
	size := s.zeros + int64(len(s.content))
	if off < 0 || n <= 0 || off+n > size {
		return nil, false, errors.New("a range that the blob doesn't have")
	}
	whole := ignores && n < size
	if ignores {
		off, n = 0, size
	}
	body := &sourceBody{source: s, ctx: ctx, fault: f, off: off, closed: make(chan struct{})}
	if s.zeros > 0 {
		body.rest = zeros()[:n]
	} else {
		body.rest = s.content[off : off+n]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	s.most = max(s.most, s.open)
	return body, whole, nil
}

type sourceBody struct {
	source *source
	ctx    context.Context
	fault  fault
	off    int64
	rest   []byte
	got    int64
	once   sync.Once
	closed chan struct{}
}

func (b *sourceBody) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, b.ctx.Err()
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if b.fault.drip {
		p = p[:min(len(p), 1)]
	}
	if b.fault.piece > 0 {
		p = p[:min(len(p), b.fault.piece)]
	}
	if b.fault.delay > 0 {
		select {
		case <-time.After(b.fault.delay):
		case <-b.closed:
			return 0, io.ErrClosedPipe
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	if b.fault.cut > 0 {
		if left := b.fault.cut - b.got; left > 0 {
			p = p[:min(int64(len(p)), left)]
		} else if b.fault.stall {
			<-b.closed
			return 0, io.ErrClosedPipe
		} else {
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(p, b.rest)
	if b.fault.flip {
		for i := range n {
			p[i] ^= 0x10
		}
	}
	b.source.mu.Lock()
	for i := b.off; i < b.off+int64(n); {
		end := min((i/ChunkSize+1)*ChunkSize, b.off+int64(n))
		if at := i/ChunkSize*ChunkSize + lieAt; b.fault.lie != nil && i <= at && at < end {
			p[at-b.off] ^= b.fault.lie(int(i / ChunkSize))
		}
		b.source.sent[int(i/ChunkSize)] += end - i
		i = end
	}
	b.source.mu.Unlock()
	b.rest, b.off, b.got = b.rest[n:], b.off+int64(n), b.got+int64(n)
	return n, nil
}

func (b *sourceBody) Close() error {
	b.once.Do(func() {
		close(b.closed)
		b.source.mu.Lock()
		defer b.source.mu.Unlock()
		b.source.open--
	})
	return nil
}

func (s *source) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// bytesSent is what went over the wire, and the most that was sent of one chunk.
func (s *source) bytesSent() (total, chunk int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.sent {
		total += n
		chunk = max(chunk, n)
	}
	return total, chunk
}

// random is n bytes that look random and are the same each time.
func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(n), byte(n >> 8), byte(n >> 16)})
	if _, err := r.Read(b); err != nil {
		panic(err)
	}
	return b
}

// open opens a cache, of which a test that fails shows the log.
func open(t testing.TB, o Options) *Cache {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// shut closes c once all that has come is on disk: what is on its way there when a
// cache is closed may be lost.
func shut(t testing.TB, c *Cache) {
	t.Helper()
	settled(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// blobOf opens a blob until the test ends.
func blobOf(t testing.TB, c *Cache, k Key, f Fetcher) *Blob {
	t.Helper()
	b, err := c.Blob(k, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // it never fails
	return b
}

// reader opens a blob and a Reader on it, to be closed by the returned function.
func reader(t testing.TB, c *Cache, k Key, f Fetcher) (*Reader, func()) {
	t.Helper()
	b, err := c.Blob(k, f)
	if err != nil {
		t.Fatal(err)
	}
	r := b.Reader()
	var once sync.Once
	done := func() {
		once.Do(func() {
			if err := errors.Join(r.Close(), b.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(done)
	return r, done
}

// readAll reads a blob from its start in pieces, as cat does, and returns what
// it got before the first error other than io.EOF.
func readAll(t testing.TB, c *Cache, k Key, f Fetcher, piece int) ([]byte, error) {
	t.Helper()
	r, done := reader(t, c, k, f)
	defer done()
	all := make([]byte, 0, min(k.Size, 16<<20)) // to grow it is dear under the race detector
	p := make([]byte, piece)
	for {
		n, err := r.ReadAt(t.Context(), p, int64(len(all)))
		all = append(all, p[:n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// mustRead fails the test unless reading all of k gives want.
func mustRead(t testing.TB, c *Cache, k Key, f Fetcher, want []byte) {
	t.Helper()
	mustReadIn(t, c, k, f, want, 128<<10)
}

// mustReadIn is mustRead in pieces of that many bytes. It compares each as it comes:
// memory for all of them is dear under the race detector.
func mustReadIn(t testing.TB, c *Cache, k Key, f Fetcher, want []byte, piece int) {
	t.Helper()
	r, done := reader(t, c, k, f)
	defer done()
	p := make([]byte, piece)
	for off := 0; ; {
		n, err := r.ReadAt(t.Context(), p, int64(off))
		if off+n > len(want) {
			t.Fatalf("got %d bytes, want %d", off+n, len(want))
		}
		mustEqual(t, p[:n], want[off:off+n])
		off += n
		switch {
		case errors.Is(err, io.EOF) && off == len(want):
			return
		case errors.Is(err, io.EOF):
			t.Fatalf("got %d bytes, want %d", off, len(want))
		case err != nil:
			t.Fatalf("read: %v", err)
		}
	}
}

func mustEqual(t testing.TB, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	if len(got) != len(want) {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("byte %d of %d is wrong", i, len(want))
		}
	}
}

// readPart reads n bytes at off through a Reader of its own.
func readPart(t testing.TB, c *Cache, k Key, f Fetcher, off int64, n int) ([]byte, error) {
	t.Helper()
	r, done := reader(t, c, k, f)
	defer done()
	p := make([]byte, n)
	got, err := r.ReadAt(t.Context(), p, off)
	return p[:got], err
}

// settled waits until nothing is on its way any more, to a reader or to the disk.
func settled(c *Cache) {
	for !c.quiet() {
		time.Sleep(time.Millisecond)
	}
}

// counted waits until the cache has looked through its directory: what is written
// meanwhile may be counted twice, or not at all.
func counted(c *Cache) {
	for !c.disk.usage.known() {
		time.Sleep(time.Millisecond)
	}
}

// quiet says that only those use a blob who have it open, and that the disk has let go
// of the others.
func (c *Cache) quiet() bool {
	for _, t := range c.tables.all() {
		t.mu.Lock()
		busy := t.users != t.handles || t.disk.closing != nil && !t.disk.closing.landed()
		t.mu.Unlock()
		if busy {
			return false
		}
	}
	return c.disk == nil || c.disk.queue.running.Load() == 0
}

// zeros are as many as one request asks for.
var zeros = sync.OnceValue(func() []byte { return make([]byte, maxRequest) })

// warnings count what is logged as one.
type warnings struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (w *warnings) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// Write implements io.Writer.
func (w *warnings) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, string(line))
	return len(line), nil
}

func (w *warnings) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lines)
}
