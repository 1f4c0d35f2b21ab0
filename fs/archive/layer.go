package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/opencontainers/go-digest"
)

// A Layer is an archive whose tree is known. It is safe for concurrent use.
type Layer struct {
	source   *Source
	index    *index
	identity string
	keep     string // under which its spans are kept
	partial  bool   // it is what a pass has come by
	ahead    spanAhead

	derived DerivedBlob // where the stream isn't read from the blob itself
}

func newLayer(s *Source, x *index, key string) (*Layer, error) {
	l := &Layer{source: s, index: x, identity: s.key(key), keep: s.key(key)}
	if x.layout != layoutDerived {
		return l, nil
	}
	var err error
	d := digest.NewDigestFromBytes(digest.SHA256, x.digest)
	l.derived, err = s.Store.Derive(d, x.size, s.unpack)
	return l, err
}

// Close ends the use of what the layer derived.
func (l *Layer) Close() error {
	if l.derived == nil {
		return nil
	}
	return l.derived.Close()
}

// Identity names the layer's tree: entries of two layers of one identity are
// the same if their numbers are.
func (l *Layer) Identity() string { return l.identity }

// readAt reads from file number i like io.ReaderAt.
func (l *Layer) readAt(ctx context.Context, i int, p []byte, off int64) (int, error) {
	n := l.index.inode(i)
	if n.typ() != TypeRegular {
		return 0, fmt.Errorf("entry %d of layer %s is no file", i, l.source.Digest)
	}
	rest := n.size() - off
	if off < 0 || rest <= 0 {
		return 0, io.EOF
	}
	short := int64(len(p)) > rest
	p = p[:min(int64(len(p)), rest)]
	var err error
	if first, count := int(n.u32(36)), int(n.u32(40)); count == 0 {
		err = l.readStream(ctx, p, int64(n.u64(44))+off) //nolint:gosec // checked
	} else {
		err = l.readSparse(ctx, first, count, p, off)
	}
	if err != nil {
		return 0, err
	}
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// readSparse fills p with what a file with holes has at off.
func (l *Layer) readSparse(ctx context.Context, first, count int, p []byte, off int64) error {
	clear(p)
	end := off + int64(len(p))
	for i := first; i < first+count; i++ {
		e := l.index.extent(i)
		from, to := max(e.offset, off), min(e.offset+e.length, end)
		if from >= to {
			continue
		}
		if err := l.readStream(ctx, p[from-off:to-off], e.stream+from-e.offset); err != nil {
			return err
		}
	}
	return nil
}

// readStream fills p with the stream's bytes at off.
func (l *Layer) readStream(ctx context.Context, p []byte, off int64) error {
	switch l.index.layout {
	case layoutPlain:
		return readFull(ctx, l.source.Blob, p, off)
	case layoutDerived:
		return readFull(ctx, l.derived, p, off)
	}
	for i := l.index.spanAt(off); len(p) > 0; i++ {
		s := l.index.span(i)
		here := p[:min(int64(len(p)), s.stream+s.length-off)]
		if s.codec == codecZero {
			clear(here)
		} else {
			data, err := l.spanData(ctx, i, s)
			if err != nil {
				return err
			}
			copy(here, data[off-s.stream:])
			l.ahead.passed(l, i)
		}
		p, off = p[len(here):], off+int64(len(here))
	}
	return nil
}

func readFull(ctx context.Context, blob Blob, p []byte, off int64) error {
	if n, err := blob.ReadAt(ctx, p, off); n < len(p) {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// spanData is the bytes of span i, inflated once while they are remembered.
func (l *Layer) spanData(ctx context.Context, i int, s span) ([]byte, error) {
	return l.source.Store.Keep(ctx, spanKey(l.keep, i), s.length+s.packed+s.skip, func(ctx context.Context) ([]byte, error) {
		window, err := inflateWindow(s.window)
		if err != nil {
			return nil, err
		}
		s.window = window
		return l.source.inflate(ctx, s)
	})
}

// maxWindow is deflate's (RFC 1951, 2), in bytes.
const maxWindow = 32 << 10

func inflateWindow(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	window, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxWindow))
	if err != nil {
		return nil, damaged("window: %v", err)
	}
	return window, nil
}

// Verified tells whether the layer's bytes are checked one by one when they are
// read, against what was verified as a whole; those of a plain tar are as good
// as its blob, and so is what a pass has come by.
func (l *Layer) Verified() bool { return l.index.layout != layoutPlain && !l.partial }
