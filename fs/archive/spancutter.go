package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"

	"github.com/orasfs/orasfs/fs/archive/deflate"
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

// A spanCutter cuts a stream into spans while it is unpacked into the cutter's room,
// and has the store keep them: whoever reads the layer next needn't unpack them again.
type spanCutter struct {
	ctx      context.Context
	blob     *recorder
	begun    bool
	current  span  // the one that has begun
	streamed int64 // how far the stream was unpacked
	builder  *builder
	cost     int64 // of the spans, in bytes
	// expected is what the span that is cut will take, in bytes.
	expected int64
	err      error // why a window couldn't be packed

	pass *passing // nil where nothing is kept
	// out has what was unpacked last, from the span's begin on and a window before that,
	// up to filled. What is there stays: others read it.
	out           []byte
	begin, filled int

	mu      sync.Mutex // guards what follows
	spans   []span     // grows at its end only
	tooLong bool       // some span would be beyond the bounds: there are none
}

// newSpanCutter asks for the memory of a pass before it takes any.
func newSpanCutter(ctx context.Context, s *Source, b *builder) (*spanCutter, error) {
	b.passed = true
	blob := &recorder{in: wholeOf(ctx, s)}
	c := &spanCutter{ctx: ctx, blob: blob, pass: s.passing, builder: b, expected: min(passSpan, 4*s.Size)}
	return c, c.hold(true)
}

// hold asks for the memory that the pass takes. It is called before more is unpacked.
// Where a span that is larger than most takes more than there is, none is cut.
func (c *spanCutter) hold(wait bool) error {
	has := int64(cap(c.blob.kept) + 2*len(c.out)) // others still read what was before out
	err := c.builder.share.pass(c.cost, max(has, c.expected), wait)
	if errors.Is(err, ErrTooLarge) && has > passSpan {
		c.giveUp()
		c.expected = 0
		err = c.builder.share.pass(c.cost, 0, wait)
	}
	return errors.Join(c.err, err)
}

// room is where n bytes can be unpacked to: out[from:]. Before them is a window of what
// was unpacked before.
func (c *spanCutter) room(n int) (out []byte, from int) {
	if len(c.out)-c.filled < n {
		keep := max(0, c.filled-deflate.Window)
		if c.keeps() {
			keep = max(0, min(keep, c.begin-deflate.Window))
		}
		c.renew(keep, n)
	}
	return c.out[:c.filled+n], c.filled
}

// renew makes room for n bytes and for what a span mostly has, behind what was unpacked
// from keep on.
func (c *spanCutter) renew(keep, n int) {
	held := c.filled - keep
	size := max(held+held/2, min(deflate.Window+int(spanTarget(c.streamed)), int(c.expected))) + n
	out := make([]byte, size)
	copy(out, c.out[keep:c.filled])
	c.out, c.begin, c.filled = out, c.begin-keep, held
}

// keeps tells whether the spans are kept.
func (c *spanCutter) keeps() bool { return c.pass != nil && !c.tooLong }

// unpacked is told how many bytes were unpacked into the room.
func (c *spanCutter) unpacked(n int) {
	c.filled += n
	c.streamed += int64(n)
	if c.filled-c.begin > maxSpan {
		c.giveUp() // it will be too long when it ends
	}
}

// pack is a window as a span has it.
func (c *spanCutter) pack(window []byte) string {
	packed, err := deflateWindow(window)
	c.err = errors.Join(c.err, err)
	return packed
}

// cut ends the span that has begun where the stream has come to; its compressed bytes end
// before an offset. What begins is next.
func (c *spanCutter) cut(blobEnd int64, next span) {
	s := c.current
	s.length, s.packed = c.streamed-s.stream, blobEnd-s.blob
	if c.begun && s.length > 0 && !c.tooLong {
		sum, ok := c.blob.sum(s.blob, blobEnd)
		if ok && s.length <= maxSpan && s.packed <= maxPacked {
			s.digest, s.digestOf = sum, digestOfPacked
			c.mu.Lock()
			c.spans = append(c.spans, s)
			c.mu.Unlock()
			c.cost += 2*(spanCost+int64(len(s.window))) + spanSize // the index has them once more
			c.store()
		} else {
			c.giveUp()
		}
	}
	c.current, c.begun = next, true
	c.blob.forget(next.blob)
}

// store gives the store the span that has ended, and makes room for the next.
func (c *spanCutter) store() {
	begin := c.begin
	if c.begin = c.filled; !c.keeps() {
		return
	}
	data := c.out[begin:c.filled:c.filled]
	if len(c.out) > len(data)+len(data)/4 {
		data = bytes.Clone(data) // what is kept counts as its length
	}
	c.pass.keep(c.ctx, len(c.spans)-1, data)
}

// giveUp is for a stream that can't be cut: it will be unpacked as a whole.
func (c *spanCutter) giveUp() {
	if c.tooLong { // only who calls this sets it
		return
	}
	c.mu.Lock()
	c.tooLong, c.spans = true, nil
	c.mu.Unlock()
	c.blob.stop()
	c.begin, c.out = c.filled, c.out[:c.filled] // what is unpacked next goes elsewhere
}

// cutSoFar are the spans that have ended. Others may be added while the caller
// reads these: behind them, so that they stay as they are.
func (c *spanCutter) cutSoFar() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans
}

// length is how much of the stream the span has that has begun.
func (c *spanCutter) length() int64 {
	if c.blob.off && !c.tooLong {
		c.giveUp()
	}
	return c.streamed - c.current.stream
}

// finish ends the last span, whose compressed bytes end before an offset, and gives b
// all of them. It tells where the stream is to be read.
func (c *spanCutter) finish(size, blobEnd int64, sum [sha256.Size]byte, b *builder) (stream, error) {
	c.cut(blobEnd, span{})
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
