package archive

import (
	"context"

	"github.com/klauspost/compress/flate"
)

// gzipIndex indexes a gzipped tar, of however many members: it inflates all of
// it once, and notes from where it can be inflated later.
//
// Inflating can begin between two deflate blocks, given the 32 KiB before them.
// The inflater calls back at the end of each block with just that, a checkpoint.
// Most are passed over: a span begins at the first one after the span before has
// become long enough.
func gzipIndex(ctx context.Context, s *Source, b *builder) (stream, error) {
	c, err := newSpanCutter(ctx, s, b)
	if err != nil {
		return stream{}, err
	}
	m := &memberReader{in: c.in}
	var member deflateStart
	m.options = []flate.ReaderOpt{flate.WithEobCallback(func(at flate.InflateCheckpoint) {
		blob, here := member.locate(at, c.position()), member.stream+at.UncompressedOffset
		if !at.Final && c.length(here) >= spanTarget(here) {
			end := blob
			if at.BitOffset > 0 {
				end++ // the byte belongs to both
			}
			c.cut(here, end, span{
				stream: here, blob: blob, codec: codecDeflate, bits: at.BitOffset, window: c.pack(at.Window),
			})
		}
	})}
	m.began = func() {
		member = deflateStart{stream: m.produced, blob: c.position()}
		if !c.begun || c.length(member.stream) >= spanTarget(member.stream) {
			c.cut(member.stream, member.blob, span{stream: member.stream, blob: member.blob, codec: codecDeflate})
		}
	}
	if err := m.next(); err != nil {
		return stream{}, badContentOf("gzip", err)
	}
	showPassed(s, b, c)
	size, sum, err := indexPass(ctx, &cutStream{m, c}, b)
	if err != nil {
		return stream{}, badContentOf("gzip", err)
	}
	return c.finish(size, sum, b)
}

// A deflateStart is where a member's deflate data begin.
type deflateStart struct {
	stream, blob int64
	// counted is how many compressed bytes the inflater has counted twice. It
	// holds some bytes, whose bits it uses one after the other, and counts a byte
	// when it takes it. Those that it holds where a stored block begins, which
	// isn't made of bits, it counts again. So from then on what it says of where
	// it is is too high.
	counted int64
}

// locate is the offset in the blob of the byte that holds a checkpoint's first
// bit. taken is the offset up to which the inflater has taken the blob.
func (d *deflateStart) locate(at flate.InflateCheckpoint, taken int64) int64 {
	// How many bits it has taken and not used yet. After a stored block there are
	// none: if they come out as less, that is what was counted twice.
	held := (taken-d.blob+d.counted-at.CompressedOffset)*8 - int64(at.BitOffset)
	if held < 0 {
		d.counted -= held / 8
	}
	return d.blob + at.CompressedOffset - d.counted
}
