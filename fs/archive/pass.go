package archive

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime/debug"
	"sync"
)

// Bounds of how much of the stream a span of our own has, about, in bytes: a
// small read inflates that much, and each span costs a window of up to 32 KiB in
// the index.
const (
	minSpanTarget = 2 << 20
	maxSpanTarget = 16 << 20
)

// spanTarget grows with the offset in the stream, so that the windows of a huge
// layer stay within the index's bounds.
func spanTarget(at int64) int64 {
	return min(minSpanTarget+at/1024, maxSpanTarget)
}

// maxStream bounds what a layer unpacks to, in bytes.
const maxStream = 1 << 40

// A pass is the one way through a compressed tar of which no table of contents
// is known: it unpacks all of it, finds the entries, and has a digest of the
// whole.
//
// Unpacking runs beside the rest, a few buffers ahead.
type pass struct {
	buffers chan []byte // unpacked, in order
	spare   chan []byte
	err     error // why unpacking ended; set before buffers is closed

	rest []byte // of the buffer that is being read
	held []byte // that buffer
	sum  hash.Hash
	size int64
}

// passBuffer is the size of a pass's buffers, in bytes, and passBuffers how
// many there are.
const (
	passBuffer  = 256 << 10
	passBuffers = 8
)

// indexPass reads all that unpacked gives and gives b the entries. It returns
// the stream's size and digest.
func indexPass(ctx context.Context, unpacked io.Reader, b *builder) (size int64, sum [sha256.Size]byte, err error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pass{buffers: make(chan []byte, passBuffers), spare: make(chan []byte, passBuffers), sum: sha256.New()}
	for range passBuffers {
		p.spare <- make([]byte, passBuffer)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.unpack(ctx, unpacked)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if err := scanTar(p, b); err != nil {
		return 0, sum, err
	}
	// What follows the tar's end belongs to the digest.
	for p.next() {
		p.rest = nil
	}
	if p.err != nil {
		return 0, sum, p.err
	}
	return p.size, [sha256.Size]byte(p.sum.Sum(nil)), nil
}

// unpack fills buffers until the end.
func (p *pass) unpack(ctx context.Context, unpacked io.Reader) {
	defer close(p.buffers)
	defer func() {
		if what := recover(); what != nil { // in a decompressor; the reader gets it
			p.err = fmt.Errorf("panic: %v\n%s", what, debug.Stack())
		}
	}()
	for total := int64(0); ; {
		var buffer []byte
		select {
		case buffer = <-p.spare:
		case <-ctx.Done():
			p.err = ctx.Err()
			return
		}
		n, err := fill(buffer[:passBuffer], unpacked)
		if total += int64(n); total > maxStream {
			err = fmt.Errorf("%w: it unpacks to more than %d bytes", ErrTooLarge, int64(maxStream))
		}
		if n > 0 {
			p.buffers <- buffer[:n] // there is room for all that there are
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

// fill is io.ReadFull with the reader's own error: a stream that is over isn't
// one that broke off.
func fill(p []byte, r io.Reader) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// next makes rest what comes next; false is the end, or an error.
func (p *pass) next() bool {
	if len(p.rest) > 0 {
		return true
	}
	if p.held != nil {
		p.spare <- p.held
		p.held = nil
	}
	buffer, ok := <-p.buffers
	if !ok {
		return false
	}
	_, _ = p.sum.Write(buffer) // a hash never fails, see hash.Hash
	p.size += int64(len(buffer))
	p.held, p.rest = buffer, buffer
	return true
}

// Read implements tarInput.
func (p *pass) Read(to []byte) (int, error) {
	if !p.next() {
		if p.err != nil {
			return 0, p.err
		}
		return 0, io.EOF
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Skip implements tarInput.
func (p *pass) Skip(n int64) error {
	for n > 0 {
		if !p.next() {
			if p.err != nil {
				return p.err
			}
			return io.ErrUnexpectedEOF
		}
		k := min(n, int64(len(p.rest)))
		p.rest, n = p.rest[k:], n-k
	}
	return nil
}

// A recorder reads a blob in order and remembers what was read since it was
// told to forget, so that a span's compressed bytes can be hashed once it is
// known where they end.
type recorder struct {
	in    io.Reader
	kept  []byte
	begin int64 // offset of kept in the blob
	off   bool  // nothing is remembered any more
}

// Read implements io.Reader.
func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if r.off {
		r.begin += int64(n)
	} else {
		r.kept = append(r.kept, p[:n]...)
	}
	return n, err
}

// end is the offset of what is read next.
func (r *recorder) end() int64 { return r.begin + int64(len(r.kept)) }

// sum is the digest of the bytes from one offset to another. false is that they
// aren't remembered.
func (r *recorder) sum(from, to int64) (sum [sha256.Size]byte, ok bool) {
	if r.off || from < r.begin || to > r.end() || from > to {
		return sum, false
	}
	return sha256.Sum256(r.kept[from-r.begin : to-r.begin]), true
}

// forget drops what is before an offset.
func (r *recorder) forget(before int64) {
	if r.off || before <= r.begin {
		return
	}
	r.kept = r.kept[:copy(r.kept, r.kept[before-r.begin:])]
	r.begin = before
}

// stop has it remember nothing.
func (r *recorder) stop() {
	r.begin, r.kept, r.off = r.end(), nil, true
}

// A spanCutter cuts a stream into spans while it is unpacked.
type spanCutter struct {
	blob    *recorder
	in      *bufio.Reader // what reads from blob
	begun   bool
	current span // the one that has begun

	mu      sync.Mutex // guards what follows
	spans   []span     // grows at its end only
	tooLong bool       // some span would be beyond the bounds: there are none
}

func newSpanCutter(ctx context.Context, s *Source) *spanCutter {
	blob := &recorder{in: &blobReader{ctx, s.Blob, 0, s.Size}}
	return &spanCutter{blob: blob, in: bufio.NewReaderSize(blob, streamBuffer)}
}

// position is the offset in the blob of what the unpacker takes next.
func (c *spanCutter) position() int64 { return c.blob.end() - int64(c.in.Buffered()) }

// cut ends the span that has begun: the stream has come to an offset, and its
// compressed bytes end before another. What begins is next.
func (c *spanCutter) cut(streamEnd, blobEnd int64, next span) {
	s := c.current
	s.length, s.packed = streamEnd-s.stream, blobEnd-s.blob
	if c.begun && s.length > 0 && !c.blob.off {
		sum, ok := c.blob.sum(s.blob, blobEnd)
		if ok && s.length <= maxSpan && s.packed <= maxPacked {
			s.digest, s.digestOf = sum, digestOfPacked
			c.mu.Lock()
			c.spans = append(c.spans, s)
			c.mu.Unlock()
		} else {
			c.giveUp()
		}
	}
	c.current, c.begun = next, true
	c.blob.forget(next.blob)
}

// giveUp is for a stream that can't be cut: it will be unpacked as a whole.
func (c *spanCutter) giveUp() {
	c.mu.Lock()
	c.tooLong, c.spans = true, nil
	c.mu.Unlock()
	c.blob.stop()
}

// cutSoFar are the spans that have ended; others may follow while they are read.
func (c *spanCutter) cutSoFar() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans
}

// length is how much of the stream the span has that has begun.
func (c *spanCutter) length(at int64) int64 {
	if !c.blob.off && c.blob.end()-c.current.blob > maxPacked+streamBuffer {
		c.giveUp() // before it takes more memory
	}
	return at - c.current.stream
}

// finish ends the last span and gives b all of them. It tells where the stream
// is to be read.
func (c *spanCutter) finish(size int64, sum [sha256.Size]byte, b *builder) (stream, error) {
	c.cut(size, c.position(), span{})
	at := stream{layout: layoutSpans, size: size, digest: sum}
	if c.tooLong {
		at.layout = layoutDerived
		return at, nil
	}
	for _, s := range c.spans {
		if err := b.addSpan(s); err != nil {
			return stream{}, err
		}
	}
	return at, nil
}
