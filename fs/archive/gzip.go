package archive

import (
	"bytes"
	"context"

	"github.com/klauspost/compress/flate"
)

// gzipIndex indexes a gzipped tar, of however many members: it inflates all of
// it once, and notes from where it can be inflated later.
func gzipIndex(ctx context.Context, s *Source, b *builder) (stream, error) {
	c := newSpanCutter(ctx, s)
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
				stream: here, blob: blob, codec: codecDeflate, bits: at.BitOffset, window: bytes.Clone(at.Window),
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
	// surplus is by how many bytes the inflater's own count of what it took is
	// too high: it counts those anew that it had taken before a stored block
	// and hadn't used.
	surplus int64
}

// locate is the offset in the blob of the byte that holds a checkpoint's first
// bit. taken is the offset up to which the inflater has taken the blob.
func (d *deflateStart) locate(at flate.InflateCheckpoint, taken int64) int64 {
	// How many bits it has taken and not used: none after a stored block.
	ahead := (taken-d.blob+d.surplus-at.CompressedOffset)*8 - int64(at.BitOffset)
	if ahead < 0 {
		d.surplus -= ahead / 8
	}
	return d.blob + at.CompressedOffset - d.surplus
}
