package archive

import (
	"context"

	"github.com/orasfs/orasfs/fs/archive/deflate"
)

// gzipIndex indexes a gzipped tar, of however many members: it inflates all of
// it once, and notes from where it can be inflated later.
//
// Inflating can begin between two deflate blocks, given the 32 KiB before them. Most
// are passed over: a span begins at the first one after the span before has become
// long enough.
func gzipIndex(ctx context.Context, s *Source, b *builder) (stream, error) {
	c, err := newSpanCutter(ctx, s, b)
	if err != nil {
		return stream{}, err
	}
	p := &gzipPass{cutter: c, members: memberReader{in: deflate.NewInput(c.blob, streamBuffer)}}
	p.members.began = p.member
	if err := p.members.next(); err != nil {
		return stream{}, badContentOf("gzip", err)
	}
	showPassed(s, b, c)
	size, sum, err := indexPass(ctx, p, b)
	if err != nil {
		return stream{}, badContentOf("gzip", err)
	}
	return c.finish(size, p.members.in.Offset(), sum, b)
}

// A gzipPass is the stream of a gzipped layer, which is cut between its blocks.
type gzipPass struct {
	cutter  *spanCutter
	members memberReader
	begin   int64 // of the member in the stream
}

// unpack implements unpacker. A block is mostly less than a piece.
func (p *gzipPass) unpack() ([]byte, error) {
	c := p.cutter
	if err := c.hold(true); err != nil {
		return nil, err
	}
	// Before there is room, since a cut changes where that is.
	if err := p.members.follow(); err != nil {
		return nil, err
	}
	out, from := c.room(passPiece + deflate.Spare)
	for n := from; ; {
		begin := n
		var err error
		n, err = p.members.inflate(out, n)
		c.unpacked(n - begin)
		cut := err == nil && p.members.inflater.Between() && p.block(out[:n])
		if cut || n == begin || err != nil || p.members.ended || len(out)-n <= deflate.Spare {
			return out[from:n:n], err
		}
	}
}

// member is called where a member's deflate data begin.
func (p *gzipPass) member() {
	c := p.cutter
	p.begin = c.streamed
	if !c.begun || c.length() >= spanTarget(p.begin) {
		blob := p.members.in.Offset()
		c.cut(blob, span{stream: p.begin, blob: blob, codec: codecDeflate})
	}
}

// block is called between two blocks, with what was inflated before. It tells whether a
// span was cut there.
func (p *gzipPass) block(before []byte) bool {
	c := p.cutter
	if c.length() < spanTarget(c.streamed) || c.tooLong {
		return false
	}
	blob, bits := p.members.inflater.Position()
	end := blob
	if bits > 0 {
		end++ // the byte belongs to both
	}
	window := min(c.streamed-p.begin, deflate.Window)
	c.cut(end, span{
		stream: c.streamed, blob: blob, codec: codecDeflate, bits: bits,
		window: c.pack(before[int64(len(before))-window:]),
	})
	return true
}
