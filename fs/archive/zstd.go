package archive

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdIndex indexes a tar in zstd frames. It decompresses all of it once; where
// the frames are small, they are spans, so that later only those are read that
// hold what is asked for.
func zstdIndex(ctx context.Context, s *Source, b *builder) (stream, error) {
	c := newSpanCutter(ctx, s)
	f := &frameReader{in: c.in}
	d, err := newZstdReader(nil)
	if err != nil {
		return stream{}, badContentOf("zstd", err)
	}
	defer d.free()
	showPassed(s, b, c)
	size, sum, err := indexPass(ctx, &zstdFrames{decoder: d, frames: f, cutter: c}, b)
	if err != nil {
		return stream{}, badContentOf("zstd", err)
	}
	return c.finish(size, sum, b)
}

// zstdFrames decompresses one frame after the other, so that it is known what
// each gives.
type zstdFrames struct {
	decoder zstdReader
	frames  *frameReader
	cutter  *spanCutter
	at      int64 // in the stream
	within  bool  // a frame
}

// Read implements io.Reader.
func (z *zstdFrames) Read(p []byte) (int, error) {
	for {
		if !z.within {
			position := z.cutter.position()
			if err := z.frames.next(); err != nil {
				return 0, err // io.EOF among them
			}
			if !z.cutter.begun || z.cutter.length(z.at) >= spanTarget(z.at) {
				z.cutter.cut(z.at, position, span{stream: z.at, blob: position, codec: codecZstd})
			}
			if err := z.decoder.Reset(z.frames); err != nil {
				return 0, err
			}
			z.within = true
		}
		n, err := z.decoder.Read(p)
		z.at += int64(n)
		// A longer frame would have to be decompressed for one byte of it.
		if z.cutter.length(z.at) > maxSpanTarget {
			z.cutter.giveUp()
		}
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		z.within = false
		if n > 0 {
			return n, nil
		}
	}
}

// Magic numbers of frames (RFC 8878, 3.1). Those of skippable ones end in any
// digit.
const (
	zstdMagic      = 0xFD2FB528
	skippableMagic = 0x184D2A50
	skippableMask  = 0xFFFFFFF0
)

// A frameReader gives the bytes of one zstd frame after the other; io.EOF ends
// each. It follows the frame's blocks without decompressing them (RFC 8878,
// 3.1.1).
type frameReader struct {
	in       *bufio.Reader
	left     int  // bytes of the frame that are known to follow
	last     bool // no further block follows those
	checksum bool // and then four bytes
}

// next begins the next frame that isn't skippable; io.EOF is that none follows.
func (f *frameReader) next() error {
	for {
		head, err := f.in.Peek(4)
		if err != nil {
			if errors.Is(err, io.EOF) && len(head) > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		magic := binary.LittleEndian.Uint32(head)
		if magic&skippableMask == skippableMagic {
			head, err = f.in.Peek(8)
			if err != nil {
				return unexpected(err)
			}
			size := int64(binary.LittleEndian.Uint32(head[4:]))
			if _, err := io.CopyN(io.Discard, f.in, 8+size); err != nil {
				return unexpected(err)
			}
			continue
		}
		if magic != zstdMagic {
			return fmt.Errorf("a frame begins with %08x", magic)
		}
		return f.begin()
	}
}

// begin reads ahead how long a frame's header is.
func (f *frameReader) begin() error {
	head, err := f.in.Peek(5)
	if err != nil {
		return unexpected(err)
	}
	descriptor := head[4]
	single := descriptor&0x20 != 0
	f.left = 5 + [4]int{0, 1, 2, 4}[descriptor&3] + [4]int{0, 2, 4, 8}[descriptor>>6]
	if !single {
		f.left++ // window descriptor
	} else if descriptor>>6 == 0 {
		f.left++ // a content size of one byte
	}
	f.last, f.checksum = false, descriptor&4 != 0
	return nil
}

// Read implements io.Reader.
func (f *frameReader) Read(p []byte) (int, error) {
	if f.left == 0 {
		if f.last {
			return 0, io.EOF
		}
		if err := f.block(); err != nil {
			return 0, err
		}
	}
	n, err := f.in.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, unexpected(err)
}

// block reads ahead how long the next block is.
func (f *frameReader) block() error {
	head, err := f.in.Peek(3)
	if err != nil {
		return unexpected(err)
	}
	header := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	f.last = header&1 != 0
	f.left = 3
	switch header >> 1 & 3 {
	case 0, 2: // raw, compressed
		f.left += header >> 3
	case 1: // one byte, repeated
		f.left++
	default:
		return errors.New("a block of a reserved type")
	}
	if f.last && f.checksum {
		f.left += 4
	}
	return nil
}

// maxZstdWindow bounds what a frame may ask to be remembered, in bytes: what
// zstd -d takes without being told to take more (zstd --ultra, 27 bits).
const maxZstdWindow = 128 << 20

// zstdDecoders are kept for reuse: each has buffers of its own.
var zstdDecoders = sync.Pool{}

// A zstdReader decompresses frames one after the other, skippable ones left
// out (RFC 8878, 3.1).
type zstdReader struct{ *zstd.Decoder }

func newZstdReader(r io.Reader) (zstdReader, error) {
	if d, ok := zstdDecoders.Get().(*zstd.Decoder); ok {
		return zstdReader{d}, d.Reset(r)
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	return zstdReader{d}, err
}

// free gives the decoder back; it doesn't refer to what it read any more.
func (z zstdReader) free() {
	if z.Reset(nil) == nil {
		zstdDecoders.Put(z.Decoder)
	}
}
