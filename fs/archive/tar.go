package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// tarIndex indexes a plain tar: it reads the headers and skips the contents.
func tarIndex(ctx context.Context, s *Source, b *builder) (stream, error) {
	in := &tarRanges{ctx: ctx, blob: s.Blob, size: s.Size}
	return stream{layout: layoutPlain, size: s.Size}, scanTar(in, b)
}

// tarRanges reads a tar from where it lies.
type tarRanges struct {
	ctx  context.Context
	blob Blob
	off  int64
	size int64
}

// Read implements tarInput.
func (r *tarRanges) Read(p []byte) (int, error) {
	if r.off >= r.size {
		return 0, io.EOF
	}
	n, err := r.blob.ReadAt(r.ctx, p[:min(int64(len(p)), r.size-r.off)], r.off)
	r.off += int64(n)
	switch {
	case err == nil || errors.Is(err, io.EOF) && n > 0:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF // the blob is shorter than its size
	}
	return n, readError{err}
}

// Skip implements tarInput.
func (r *tarRanges) Skip(n int64) error {
	if n > r.size-r.off {
		return io.ErrUnexpectedEOF
	}
	r.off += n
	return nil
}

// tarInput is the bytes of a tar, in order.
type tarInput interface {
	io.Reader
	// Skip leaves out n bytes. Fewer are io.ErrUnexpectedEOF.
	Skip(n int64) error
}

const tarBlock = 512

// Bounds of what a tar says beside the headers proper, in bytes and in parts
// of a sparse file.
const (
	maxPAX       = 1 << 20
	maxSparse    = 1 << 16
	maxSparseMap = 4 << 20
)

// scanTar gives the builder every entry of a tar (POSIX.1-2001 pax and ustar,
// GNU tar, Unix V7).
func scanTar(in tarInput, b *builder) error {
	t := &tarScanner{in: in}
	for {
		e, err := t.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errSkipped):
			b.skip(err)
		case err != nil:
			return fmt.Errorf("tar, at byte %d: %w", t.off, err)
		default:
			if err := b.add(*e); err != nil {
				return err
			}
			if b.added != nil {
				b.added(t.off)
			}
		}
	}
}

// A tarScanner reads one entry after the other.
type tarScanner struct {
	in  tarInput
	off int64 // of what comes next
	pad int64 // bytes to the next header
}

func badTar(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func (t *tarScanner) read(p []byte) error {
	n, err := io.ReadFull(t.in, p)
	t.off += int64(n)
	return err
}

func (t *tarScanner) skip(n int64) error {
	if err := t.in.Skip(n); err != nil {
		return badContent(err)
	}
	t.off += n
	return nil
}

// header reads the next block that isn't the end; io.EOF is the end: two blocks
// of zeros, or nothing. Some writers (Debian's umoci, stacker) leave out both
// those and the padding of the last entry.
func (t *tarScanner) header() (tarHeader, error) {
	err := t.in.Skip(t.pad)
	if isEnd(err) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	t.off, t.pad = t.off+t.pad, 0
	h := make(tarHeader, tarBlock)
	for zeros := 0; ; zeros++ {
		err := t.read(h)
		switch {
		case isEnd(err) && errors.Is(err, io.EOF):
			return nil, io.EOF
		case isEnd(err):
			return nil, badTar("it ends in a header")
		case err != nil:
			return nil, err
		}
		if !isZero(h) {
			if zeros > 0 {
				return nil, badTar("a block of zeros between entries")
			}
			return h, h.check()
		}
		if zeros == 1 {
			return nil, io.EOF
		}
	}
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// body reads the content of a header that describes another one.
func (t *tarScanner) body(h tarHeader, most int64) ([]byte, error) {
	size, err := h.number(124, 12)
	if err != nil || size < 0 || size > most {
		return nil, badTar("a header of %d bytes", size)
	}
	p := make([]byte, size)
	if err := t.read(p); err != nil {
		return nil, badContent(err)
	}
	t.pad = padding(size)
	return p, nil
}

func badContent(err error) error {
	if isEnd(err) {
		return badTar("it ends in an entry")
	}
	return err
}

// isEnd tells the end of the tar from a blob that couldn't be read to there.
func isEnd(err error) bool {
	var reading readError
	return (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) && !errors.As(err, &reading)
}

func padding(size int64) int64 { return -size & (tarBlock - 1) }

// An announcement is what headers before an entry's own say of it. Which of
// several counts is as in Go's archive/tar, and so as in what applies layers.
type announcement struct {
	pax  paxRecords
	name string // GNU's long name; "" is none
	link string // GNU's long target of a link
}

// next is the next entry. Its content is left in the input.
func (t *tarScanner) next() (*entry, error) {
	var about announcement
	announced := false
	for {
		h, err := t.header()
		if err != nil {
			if errors.Is(err, io.EOF) && announced {
				return nil, badTar("it ends where an entry is announced")
			}
			return nil, err
		}
		switch h.flag() {
		case 'x', 'X', 'g', 'L', 'K':
		default:
			return t.entry(h, &about)
		}
		body, err := t.body(h, maxPAX)
		if err != nil {
			return nil, err
		}
		switch h.flag() {
		case 'L':
			about.name = cString(body)
		case 'K':
			about.link = cString(body)
		case 'g':
			// It is for all entries that follow, and heeded by no reader that
			// applies layers. To them it is an entry of its own, so that what
			// was announced is spent.
			about, announced = announcement{}, false
			continue
		default:
			about.pax = paxRecords{}
			if err := about.pax.parse(body); err != nil {
				return nil, err
			}
		}
		announced = true
	}
}

// entry makes the entry of a header and of what came before it.
func (t *tarScanner) entry(h tarHeader, about *announcement) (*entry, error) {
	e, size, err := h.entry()
	if err != nil {
		return nil, err
	}
	if err := about.pax.apply(e, &size); err != nil {
		return nil, err
	}
	if about.name != "" {
		e.name = about.name
	}
	if about.link != "" {
		e.link = about.link
	}
	// Unix V7 had no type for a directory: a slash at the end of its name says
	// what it is. With a type, a file's name may end so.
	if h.flag() == 0 && strings.HasSuffix(e.name, "/") {
		e.typ = TypeDir
	}
	if e.typ != TypeRegular && h.flag() != 'D' && e.typ != 0 {
		size = 0 // whatever the header says: nothing else has content
	}
	if size < 0 {
		return nil, badTar("entry %.100q of %d bytes", e.name, size)
	}
	e.size = size
	if err := t.content(h, e, &about.pax); err != nil {
		return nil, err
	}
	switch {
	case e.typ == 0:
		return nil, skipped(e.name, "type %q", h.flag())
	case e.typ != TypeRegular:
		e.size, e.extents = 0, nil
	}
	return e, nil
}

// content finds where the bytes of an entry are, and passes over them.
func (t *tarScanner) content(h tarHeader, e *entry, pax *paxRecords) error {
	packed := e.size
	var data []extent
	var err error
	switch {
	case h.flag() == 'S':
		data, e.size, err = t.sparseGNU(h)
	case e.typ == TypeRegular && pax.sparse():
		before := t.off
		data, e.size, err = t.sparsePAX(e, pax)
		packed -= t.off - before
	default:
		data = whole(0, packed)
	}
	if err != nil {
		return err
	}
	// A file's parts lie one after the other in the archive.
	at, total := t.off, int64(0)
	for i := range data {
		data[i].stream = at + total
		total += data[i].length
	}
	if packed < 0 || total > packed {
		return badTar("a sparse file's parts are longer than it")
	}
	e.extents = data
	if err := t.skip(packed); err != nil {
		return err
	}
	t.pad = padding(t.off)
	return nil
}

// cString is b up to its first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
