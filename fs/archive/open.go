package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/opencontainers/go-digest"
)

// key is under which an index of the blob is kept.
func (s *Source) key(of string) string {
	return strings.Join([]string{s.Digest.String(), IndexVersion, of}, "-")
}

var errUnknown = errors.New("no index is kept")

// known is an index that the Store kept.
func (s *Source) known(key string) (*index, error) { return s.loadKept(s.key(key)) }

// loadKept is the index that the Store kept for a layer's identity.
func (s *Source) loadKept(identity string) (*index, error) {
	raw, ok := s.Store.Index(identity)
	if !ok {
		return nil, errUnknown
	}
	x, err := loadIndex(raw)
	if err != nil {
		s.Log.Warn("an index that was kept is made anew", "layer", s.Digest, "error", err)
		return nil, err
	}
	x.kept = true
	return x, nil
}

// OpenKept opens a layer whose index is kept, without asking the blob anything;
// nil is that none is.
func OpenKept(s *Source) (*Layer, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	// One of the whole tar is as good as any, and lacks nothing.
	x, err := s.known("")
	if err == nil {
		if err := s.checkDiffID(x.layout, x.digest); err != nil {
			return nil, fmt.Errorf("open layer %s: %w", s.Digest, err)
		}
		return newLayer(s, x, s.key(""))
	}
	for _, f := range s.formats() {
		if x, err = s.known(f.key); err == nil {
			return s.ofTable(x, f)
		}
	}
	return nil, nil //nolint:nilnil // none is kept
}

// Open makes the index of a layer: of the index that the Store kept, of the
// layer's table of contents, or in one pass through it. It may take as long as
// all of the blob needs to arrive.
func Open(ctx context.Context, s *Source) (*Layer, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	l, err := open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open layer %s: %w", s.Digest, err)
	}
	return l, nil
}

func open(ctx context.Context, s *Source) (*Layer, error) {
	if l, err := OpenKept(s); l != nil || err != nil {
		return l, err
	}
	for _, f := range s.formats() {
		x, err := s.fromTOC(ctx, f)
		if err == nil {
			return s.ofTable(x, f)
		}
		if !errors.Is(err, errUntrusted) && !isWrong(err) {
			return nil, err
		}
		// With it each part would be checked before it is given out. Without it
		// nothing is given out before all of the blob is.
		if err := s.verify(ctx); err != nil {
			return nil, fmt.Errorf("verify all of it, since its table of contents can't be used: %w", err)
		}
		s.Log.Info("the layer is read without its table of contents", "layer", s.Digest, "format", f.name, "reason", err)
	}
	return s.pass(ctx)
}

// ofTable is the layer with an index that was made of a table of contents.
func (s *Source) ofTable(x *index, f format) (*Layer, error) {
	l, err := newLayer(s, x, s.key(f.key))
	if err == nil {
		l.beside = f.beside
	}
	return l, err
}

// fromTOC makes the index of a table of contents.
func (s *Source) fromTOC(ctx context.Context, f format) (*index, error) {
	s.ranges = nil
	x, err := s.build(ctx, f)
	again := false
	for _, r := range s.ranges {
		again = s.changed(ctx, r.stream, r.length, err) || again
	}
	if again {
		x, err = s.build(ctx, f)
	}
	return x, err
}

// pass makes the tree of the layer without a table of contents.
func (s *Source) pass(ctx context.Context) (*Layer, error) {
	f, err := detect(ctx, s)
	if err != nil {
		return nil, s.blame(ctx, err)
	}
	verified := s.verified() // before anything was read of it
	p := newPassing(s)
	s.passing = p
	defer func() { s.passing = nil }()
	ended := false
	defer func() {
		if !ended { // a panic: nobody reads on what was passed
			p.end(errPanic)
		}
	}()
	content := s.generation()
	x, err := s.build(ctx, f)
	ended = true
	if err == nil && s.generation() != content {
		err = fmt.Errorf("it became another while it was read: %w", ErrDigest)
	}
	if err != nil {
		p.end(err)
		return nil, s.blame(ctx, err)
	}
	l, err := newLayer(s, x, s.key(""))
	if err == nil {
		l.keep = p.key // what the pass came by is verified now
		l.proven = x.layout != layoutPlain || verified
	}
	return l, err
}

var errPanic = errors.New("a panic while it was indexed")

// verified tells whether the blob is known to be what its digest says.
func (s *Source) verified() bool {
	v, ok := s.Blob.(interface{ Verified() bool })
	return ok && v.Verified()
}

// generation tells apart what has been the blob's content: where that turns out to
// be wrong, the blob goes on with another one, and what was made of the first must
// not be mixed with it.
func (s *Source) generation() uint64 {
	if g, ok := s.Blob.(interface{ Generation() uint64 }); ok {
		return g.Generation()
	}
	return 0
}

// blame finds out whose fault it is that the layer is no archive, which err says:
// its own, or of whatever gave its bytes. In the second case the error says that
// as well, and what comes next time may be an archive.
func (s *Source) blame(ctx context.Context, err error) error {
	if !isWrong(err) {
		return err
	}
	if wrong := s.verify(ctx); wrong != nil {
		return fmt.Errorf("%w: %w", wrong, err)
	}
	return err
}

// verify makes sure that the blob is what its digest says. One of which that isn't
// known is read to its end: then whatever gives its bytes finds it out, and drops
// them if it isn't.
func (s *Source) verify(ctx context.Context) error {
	if s.verified() {
		return nil
	}
	_, err := io.Copy(io.Discard, newBlobReader(ctx, s))
	return err
}

// build makes an index and has it kept.
func (s *Source) build(ctx context.Context, f format) (*index, error) {
	b := newBuilder(func(err error) {
		s.Log.Warn("an entry is left out", "layer", s.Digest, "error", err)
	})
	b.most = min(cmp.Or(s.MaxIndex, maxIndex), maxIndex)
	b.share.ctx, b.share.room = ctx, s.Room
	if s.Annotations[stargzTOCDigest] != "" {
		b.hide = stargzNames
	}
	verified := s.verified()
	at, err := f.index(ctx, s, b)
	if err != nil {
		return nil, err
	}
	if f.key == "" {
		if err := s.checkDiffID(at.layout, string(at.digest[:])); err != nil {
			return nil, err
		}
	}
	raw, err := b.finish(at)
	if err != nil {
		return nil, err
	}
	// That of a plain tar may be made of parts of a blob that hasn't been verified
	// as a whole, and is soon made again.
	kept := (at.layout != layoutPlain || verified) && s.Store.PutIndex(s.key(f.key), raw)
	x, err := loadIndex(raw)
	if err == nil {
		x.kept = kept
	}
	return x, err
}

// checkDiffID compares the tar with what the image's config says of it.
func (s *Source) checkDiffID(at layout, sum string) error {
	got := digest.NewDigestFromBytes(digest.SHA256, []byte(sum))
	if at == layoutPlain {
		got = s.Digest
	}
	if s.DiffID != "" && s.DiffID.Algorithm() == got.Algorithm() && s.DiffID != got {
		return fmt.Errorf("its tar is %s, the image's config says %s: %w", got, s.DiffID, ErrDigest)
	}
	return nil
}

// badContentOf marks an error of unpacking as one of the format, unless it is
// the blob's or the context's.
func badContentOf(format string, err error) error {
	var reading readError
	if errors.Is(err, ErrFormat) || errors.Is(err, ErrTooLarge) || errors.As(err, &reading) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: %w: %w", format, ErrFormat, err)
}

// A readError is a blob's, and not the archive's fault.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }
