package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// A Contents opens what the members of a layout hold.
type Contents interface {
	Open(m Member) (Content, error)
}

// A Content is what a member holds. It is safe for concurrent use.
type Content interface {
	// ReadAt fills p with the bytes from offset off on. Where they end before that
	// is io.EOF.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	// Verified tells whether all of it has been compared with its digest, so that
	// whoever opens it again reads the same.
	Verified() bool
	Close() error
}

// A TarReader is a tar that is open. It has the members open that it was read in
// last, so that each is read ahead, and those that aren't verified: who has got
// bytes of one that turns out to be wrong gets no others in their place.
type TarReader struct {
	tar      *Tar
	contents Contents

	mu   sync.Mutex    // guards what follows
	open []*openMember // the one used last is the last
}

// An openMember is a member that is open for a TarReader.
type openMember struct {
	Content
	index int
	users int
}

// maxOpenMembers is how many that are verified are kept open: a read may go beyond
// the end of a member, and beyond that of a small one after it.
const maxOpenMembers = 4

// Open opens a tar. Its reader reads what the members hold, and has to be closed.
func (t *Tar) Open(contents Contents) *TarReader { return &TarReader{tar: t, contents: contents} }

// Size is the tar's, in bytes.
func (r *TarReader) Size() int64 { return r.tar.size }

// ReadAt fills p with the tar's bytes from offset off on, as far as it has any.
func (r *TarReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	p = p[:max(0, min(int64(len(p)), r.tar.size-off))]
	err := r.tar.read(p, off, func(b []byte, i int, off int64) error { return r.readMember(ctx, b, i, off) })
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// readMember fills b with a member's bytes.
func (r *TarReader) readMember(ctx context.Context, b []byte, i int, off int64) error {
	m, err := r.use(i)
	if err != nil {
		return err
	}
	n, err := m.ReadAt(ctx, b, off)
	switch {
	case n == len(b):
		err = nil
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("blob %s: %w", r.tar.closure.Members[i].Digest, io.ErrUnexpectedEOF)
	}
	return errors.Join(err, r.done(m))
}

// use opens a member, or takes one that is open.
func (r *TarReader) use(i int) (*openMember, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.IndexFunc(r.open, func(m *openMember) bool { return m.index == i })
	if at >= 0 {
		m := r.open[at]
		r.open = append(slices.Delete(r.open, at, at+1), m)
		m.users++
		return m, nil
	}
	content, err := r.contents.Open(r.tar.closure.Members[i])
	if err != nil {
		return nil, err
	}
	m := &openMember{Content: content, index: i, users: 1}
	r.open = append(r.open, m)
	return m, nil
}

// done ends a use, and closes what is one too many.
func (r *TarReader) done(m *openMember) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.users--
	var err error
	for len(r.open) > maxOpenMembers {
		i := slices.IndexFunc(r.open, func(m *openMember) bool { return m.users == 0 && m.Verified() })
		if i < 0 {
			break
		}
		err = errors.Join(err, r.open[i].Close())
		r.open = slices.Delete(r.open, i, i+1)
	}
	return err
}

// Close closes what is open. Nothing may be read any more.
func (r *TarReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for _, m := range r.open {
		err = errors.Join(err, m.Close())
	}
	r.open = nil
	return err
}
