package archive

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// A Layer is an archive whose index is known. It is safe for concurrent use.
type Layer struct {
	source   *Source
	identity string
	kept     bool                  // the Store has the index
	proven   bool                  // the index is of what the layer's digest names
	beside   bool                  // it was made of a table that lies beside the layer
	count    int                   // of its entries
	index    *index                // without its entries
	full     atomic.Pointer[index] // with them, unless it was trimmed
	keep     string                // under which its spans are kept
	partial  bool                  // it is what a pass has come by
	ahead    spanAhead

	derived DerivedBlob // where the stream isn't read from the blob itself
}

func newLayer(s *Source, x *index, identity string) (*Layer, error) {
	l := &Layer{source: s, index: x.withoutEntries(), identity: identity, keep: identity, kept: x.kept, proven: true, count: x.entries.len()}
	l.full.Store(x)
	if x.layout != layoutDerived {
		return l, nil
	}
	var err error
	d := digest.NewDigestFromBytes(digest.SHA256, []byte(x.digest))
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

// Identity names the layer's index: entries of two layers of one identity are the
// same if their numbers are. It is the same while a pass goes on and after it.
func (l *Layer) Identity() string { return l.identity }

// Partial tells whether the layer is what a pass has come by so far.
func (l *Layer) Partial() bool { return l.partial }

// Size is how much memory the layer takes, in bytes.
func (l *Layer) Size() int64 {
	n := l.index.bytes()
	if full := l.full.Load(); full != nil {
		n += full.bytes()
	}
	return n
}

// Trim gives up what only applying the layer needs, where the Store has it. If the
// Store gives that up as well, applying the layer is ErrLost.
func (l *Layer) Trim() {
	if l.kept && !l.partial {
		l.full.Store(nil)
	}
}

// entries is the layer's index with its entries, from the Store if need be.
func (l *Layer) entries() (*index, error) {
	if x := l.full.Load(); x != nil {
		return x, nil
	}
	x, err := l.source.loadKept(l.identity)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return x, nil
}

// readAt reads from a file of a tree like io.ReaderAt. The tree has where its
// content is in the layer's stream.
func (l *Layer) readAt(ctx context.Context, t *Tree, n inode, p []byte, off int64) (int, error) {
	if n.typ() != TypeRegular {
		return 0, fmt.Errorf("read layer %s: not a file", l.source.Digest)
	}
	rest := int64(n.u64(16)) - off //nolint:gosec // checked
	if off < 0 || rest <= 0 {
		return 0, io.EOF
	}
	short := int64(len(p)) > rest
	p = p[:min(int64(len(p)), rest)]
	var err error
	if first, count := int(n.u32(36)), int(n.u32(40)); count == 0 {
		err = l.readStream(ctx, p, int64(n.u64(44))+off) //nolint:gosec // checked
	} else {
		err = l.readSparse(ctx, t, first, count, p, off)
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
func (l *Layer) readSparse(ctx context.Context, t *Tree, first, count int, p []byte, off int64) error {
	clear(p)
	end := off + int64(len(p))
	for i := first; i < first+count; i++ {
		e := extentOf(t.extents.at(i))
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
	if off+int64(len(p)) > l.index.size {
		return damaged("a file at %d ends behind layer %s", off, l.source.Digest)
	}
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
	return l.source.Store.Keep(ctx, spanKey(l.keep, i), s.cost(), func(ctx context.Context) ([]byte, error) {
		return l.source.inflate(ctx, s)
	})
}

// Proven tells whether the layer's index is right: it was made of what the layer's
// digest names. That of a plain tar may be as good as a blob that isn't verified
// yet, and what a pass has come by as the connection.
func (l *Layer) Proven() bool { return l.proven }

// Beside tells whether the index is as good as a table of contents that lies beside
// the layer: whoever put that there could have said anything.
func (l *Layer) Beside() bool { return l.beside }

// Verified tells whether the layer's bytes are checked one by one when they are
// read, against what was verified as a whole. Those of a plain tar are as good as
// its blob, those of a derived one as that (see Derived), and what a pass has come
// by as the connection.
func (l *Layer) Verified() bool { return l.index.layout == layoutSpans && !l.partial }

// Derived is what the layer's stream is read from, nil where that is the blob.
func (l *Layer) Derived() DerivedBlob { return l.derived }
