package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
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

// A recorder reads a blob in order and remembers what was read since it was
// told to forget, so that a span's compressed bytes can be hashed once it is
// known where they end. When that is more than a span may have, and what is read
// ahead, it remembers nothing any more.
type recorder struct {
	in    io.Reader
	kept  []byte
	begin int64 // offset of kept in the blob
	off   bool  // nothing is remembered any more
}

// Read implements io.Reader.
func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if !r.off && len(r.kept)+n > maxPacked+streamBuffer {
		r.stop()
	}
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

// A spanCutter cuts a stream into spans while it is unpacked, and has the store
// keep them: whoever reads the layer next needn't unpack them again.
type spanCutter struct {
	ctx     context.Context
	blob    *recorder
	in      *bufio.Reader // what reads from blob
	begun   bool
	current span // the one that has begun
	builder *builder
	cost    int64 // of the spans, in bytes
	// expected is what the span that is cut will take, in bytes.
	expected int64
	err      error // why a window couldn't be packed

	pass     *passing // nil where nothing is kept
	unpacked []byte   // of the spans from stored on
	stored   int      // spans that the store was given

	mu      sync.Mutex // guards what follows
	spans   []span     // grows at its end only
	tooLong bool       // some span would be beyond the bounds: there are none
}

// newSpanCutter asks for the memory of a pass before it takes any.
func newSpanCutter(ctx context.Context, s *Source, b *builder) (*spanCutter, error) {
	b.passed = true
	blob := &recorder{in: wholeOf(ctx, s)}
	c := &spanCutter{ctx: ctx, blob: blob, pass: s.passing, builder: b, expected: min(passSpan, 4*s.Size)}
	if err := c.hold(true); err != nil {
		return nil, err
	}
	c.in = bufio.NewReaderSize(blob, streamBuffer)
	return c, nil
}

// hold asks for the memory that the pass takes. It is called before more is unpacked.
// Where a span that is larger than most takes more than there is, none is cut.
func (c *spanCutter) hold(wait bool) error {
	has := int64(cap(c.blob.kept) + 2*cap(c.unpacked)) // what the store is given is a copy
	err := c.builder.share.pass(c.cost, max(has, c.expected), wait)
	if errors.Is(err, ErrTooLarge) && has > passSpan {
		c.giveUp()
		c.expected = 0
		err = c.builder.share.pass(c.cost, 0, wait)
	}
	return errors.Join(c.err, err)
}

// pack is a window as a span has it.
func (c *spanCutter) pack(window []byte) []byte {
	packed, err := deflateWindow(window)
	c.err = errors.Join(c.err, err)
	return packed
}

// position is the offset in the blob of what the unpacker takes next.
func (c *spanCutter) position() int64 { return c.blob.end() - int64(c.in.Buffered()) }

// cut ends the span that has begun: the stream has come to an offset, and its
// compressed bytes end before another. What begins is next.
func (c *spanCutter) cut(streamEnd, blobEnd int64, next span) {
	s := c.current
	s.length, s.packed = streamEnd-s.stream, blobEnd-s.blob
	if c.begun && s.length > 0 && !c.tooLong {
		sum, ok := c.blob.sum(s.blob, blobEnd)
		if ok && s.length <= maxSpan && s.packed <= maxPacked {
			s.digest, s.digestOf = sum, digestOfPacked
			c.mu.Lock()
			c.spans = append(c.spans, s)
			c.mu.Unlock()
			c.cost += 2*(spanCost+int64(len(s.window))) + spanSize // the index has them once more
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
	c.unpacked = nil
}

// passed is told what was unpacked next.
func (c *spanCutter) passed(p []byte) {
	if c.pass == nil || c.tooLong {
		return
	}
	if n := len(c.unpacked) + len(p); n > cap(c.unpacked) {
		// Mostly a whole span's worth, so that it needn't grow again.
		grown := make([]byte, len(c.unpacked), max(n+n/2, int(spanTarget(c.current.stream))+passBuffer))
		copy(grown, c.unpacked)
		c.unpacked = grown
	}
	c.unpacked = append(c.unpacked, p...)
	c.store()
	if len(c.unpacked) > maxSpan {
		c.giveUp() // it will be too long when it ends
	}
}

// store gives the store the spans that have ended and have been unpacked: a span
// may end before all of it has come.
func (c *spanCutter) store() {
	for ; c.pass != nil && c.stored < len(c.spans); c.stored++ {
		n := int(c.spans[c.stored].length)
		if n > len(c.unpacked) {
			return
		}
		data, rest := c.unpacked[:n:n], c.unpacked[n:]
		if cap(c.unpacked) > n+n/4 {
			data = bytes.Clone(data) // what is kept counts as n bytes
		}
		c.unpacked = bytes.Clone(rest)
		c.pass.keep(c.ctx, c.stored, data)
	}
}

// cutSoFar are the spans that have ended. Others may be added while the caller
// reads these: behind them, so that they stay as they are.
func (c *spanCutter) cutSoFar() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans
}

// length is how much of the stream, which has come to an offset, the span has that
// has begun.
func (c *spanCutter) length(at int64) int64 {
	if c.blob.off && !c.tooLong {
		c.giveUp()
	}
	return at - c.current.stream
}

// finish ends the last span and gives b all of them. It tells where the stream
// is to be read.
func (c *spanCutter) finish(size int64, sum [sha256.Size]byte, b *builder) (stream, error) {
	c.cut(size, c.position(), span{})
	c.store()
	if c.err != nil {
		return stream{}, c.err
	}
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

// A cutStream is the stream that a cutter cuts.
type cutStream struct {
	io.Reader
	cutter *spanCutter
}

// Read implements io.Reader.
func (s *cutStream) Read(p []byte) (int, error) {
	if err := s.cutter.hold(true); err != nil {
		return 0, err
	}
	n, err := s.Reader.Read(p)
	s.cutter.passed(p[:n])
	return n, err
}
