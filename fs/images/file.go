package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/orasfs/orasfs/fs/archive"
)

// A File is an open file of an image. Its layer stays open until it is closed.
type File struct {
	layer   *layer
	archive *archive.Layer
	node    archive.Node
	opening *opening // of a file that a pass has come by
	once    sync.Once

	// What the content was when the file was opened: see ReadAt.
	generation uint64
	verified   bool
}

// Open opens a file of one of the image's trees. ErrStale is that the tree isn't
// the image's any more.
func (m *Image) Open(ctx context.Context, t *Tree, n archive.Node) (*File, error) {
	k, _, ok := n.Entry()
	if !ok || n.Type() != archive.TypeRegular {
		return nil, fmt.Errorf("open %s: not a file", n.Path())
	}
	if t.passing != nil {
		return t.openPassing(k, n)
	}
	if i := slices.IndexFunc(t.plain, func(p plainLayer) bool { return p.number == k }); i >= 0 {
		p := t.plain[i]
		if !m.images.useOpen(p.layer) {
			return nil, ErrStale
		}
		// The tree's, and not what it is now: its places are those of that content.
		return &File{layer: p.layer, archive: p.archive, node: n, generation: p.generation, verified: p.blob.Verified()}, nil
	}
	l, err := m.images.layer(t.sources[k])
	if err != nil {
		return nil, err
	}
	known, err := l.wait(ctx)
	if err == nil && known.Identity() != t.identities[k] {
		m.images.forget(t)
		m.images.spoilt.Add(keptKey(t.sources, m.raw), struct{}{})
		err = ErrStale
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return newFile(l, known, n), nil
}

// openPassing opens a file that a pass has come by. The opening goes on while it
// is open.
func (t *Tree) openPassing(k int, n archive.Node) (*File, error) {
	if !t.opening.join() {
		return nil, ErrStale
	}
	if !t.opening.image.images.useOpen(t.layers[k]) {
		t.opening.leave()
		return nil, ErrStale
	}
	f := newFile(t.layers[k], t.passing[k], n)
	f.opening = t.opening
	return f, nil
}

// useOpen uses a layer that is known to have been open, unless it was closed.
func (s *Images) useOpen(l *layer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed {
		return false
	}
	l.join()
	s.use(l)
	return true
}

func newFile(l *layer, known *archive.Layer, n archive.Node) *File {
	f := &File{layer: l, archive: known, node: n}
	f.generation, f.verified = f.Generation(), f.Verified()
	return f
}

// Path is where the file is in the image.
func (f *File) Path() string { return f.node.Path() }

// ErrChanged is the error of a file whose content was found wrong while it was open,
// and is another one now.
var ErrChanged = fmt.Errorf("the content was found wrong while it was read: %w", archive.ErrDigest)

// ReadAt reads like io.ReaderAt, with a context. It reads of one content alone: who
// has read a part of one that was found wrong doesn't get the rest of another.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := f.archive.ReadFile(ctx, f.node, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if f.Generation() != f.generation && !(f.verified && f.Verified()) {
		return 0, fmt.Errorf("read layer %s: %w", f.layer.source.Digest, ErrChanged)
	}
	return n, err
}

// Held is all of the file, if that is right and in memory as one. Nobody changes it.
func (f *File) Held() ([]byte, bool) {
	if f.archive.Partial() || !f.archive.Verified() {
		return nil, false
	}
	return f.archive.Held(f.node)
}

// content is what vouches for the file's bytes, where they aren't checked part by
// part: the layer's blob, or what was derived of it.
func (f *File) content() interface {
	Verified() bool
	Generation() uint64
} {
	if derived := f.archive.Derived(); derived != nil {
		return derived
	}
	return f.layer.blob
}

// Verified tells whether what is read is right: it is checked part by part, or
// all of the content was.
func (f *File) Verified() bool {
	switch {
	case f.archive.Partial():
		_, whole := f.layer.soFar()
		return whole
	case f.archive.Verified():
		return true
	}
	return f.content().Verified()
}

// Generation tells apart what has been the content: see Blob.
func (f *File) Generation() uint64 {
	switch {
	case f.archive.Partial():
		return f.layer.pass
	case f.archive.Verified():
		return verifiedContent
	}
	return f.content().Generation()
}

// Generations of contents that have none of a blob's: those of passes count from
// here on.
const (
	verifiedContent = 1 << 63
	firstPass       = verifiedContent + 1
)

// Close ends the use of the file.
func (f *File) Close() {
	f.once.Do(func() {
		f.layer.release()
		if f.opening != nil {
			f.opening.leave()
		}
	})
}
