package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

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
	window   uint64 // what decompressing the frame takes as memory, in bytes
	left     int    // bytes of the frame that are known to follow
	last     bool   // no further block follows those
	checksum bool   // and then four bytes
}

// newFrameReader reads from r, and further ahead unless r is a bufio.Reader.
func newFrameReader(r io.Reader) *frameReader {
	if in, ok := r.(*bufio.Reader); ok {
		return &frameReader{in: in}
	}
	return &frameReader{in: bufio.NewReader(r)}
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

// begin reads ahead what a frame's header says.
func (f *frameReader) begin() error {
	head, err := f.in.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var h zstd.Header
	if err := h.Decode(head); err != nil { // io.ErrUnexpectedEOF among them
		return err
	}
	f.left, f.last, f.checksum, f.window = h.HeaderSize, false, h.HasCheckSum, h.WindowSize
	if h.SingleSegment { // all of the content is the window
		f.window = h.FrameContentSize
	}
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
