package archive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/opencontainers/go-digest"
)

// A format is what a layer is, or says it is.
type format struct {
	name string
	// key tells indexes of the same blob apart that were made of different
	// tables of contents: "" for that of the tar itself.
	key   string
	index func(ctx context.Context, s *Source, b *builder) (stream, error)
}

// formats are the tables of contents that a layer claims to have. None of them
// is believed that doesn't match its digest.
func (s *Source) formats() []format {
	var list []format
	if isZstdChunked(s) {
		list = append(list, format{"zstd:chunked", s.annotationKey(), inSpans(zstdChunkedIndex)})
	}
	if isEStargz(s) {
		list = append(list, format{"eStargz", s.annotationKey(), inSpans(estargzIndex)})
	}
	if s.ZTOC != nil {
		list = append(list, format{"SOCI", digest.FromBytes(s.ZTOC).Encoded()[:keyDigits],
			inSpans(func(_ context.Context, s *Source, b *builder) error { return sociIndex(s, b) })})
	}
	return list
}

const keyDigits = 16

var tocAnnotations = []string{
	stargzTOCDigest, containersPosition, containersChecksum, chunkedPosition, chunkedChecksum,
}

// annotationKey is of the annotations that say where the table of contents is,
// and what its digest is.
func (s *Source) annotationKey() string {
	sum := digest.SHA256.Digester()
	for _, name := range tocAnnotations {
		_, _ = fmt.Fprintf(sum.Hash(), "%q", s.Annotations[name]) // a hash never fails
	}
	return sum.Digest().Encoded()[:keyDigits]
}

// TOCKey tells sources apart that may be indexed differently: it is the blob's
// digest, and what is said of its table of contents.
func (s *Source) TOCKey() string { return s.Digest.String() + "-" + s.annotationKey() }

// inSpans is for a format whose stream is all in spans.
func inSpans(index func(ctx context.Context, s *Source, b *builder) error) func(context.Context, *Source, *builder) (stream, error) {
	return func(ctx context.Context, s *Source, b *builder) (stream, error) {
		if err := index(ctx, s, b); err != nil {
			return stream{}, err
		}
		at := stream{layout: layoutSpans}
		if n := len(b.spans); n > 0 {
			at.size = b.spans[n-1].stream + b.spans[n-1].length
		}
		return at, nil
	}
}

// key is under which an index of the blob is kept.
func (s *Source) key(of string) string {
	return strings.Join([]string{s.Digest.String(), IndexVersion, of}, "-")
}

// Indexed tells whether Open will need no table of contents from outside of the
// layer, because the index of its tar is known, or its own will do.
func (s *Source) Indexed() bool {
	if isZstdChunked(s) || isEStargz(s) {
		return true
	}
	_, err := s.known("")
	return err == nil
}

var errUnknown = errors.New("no index is kept")

// known is an index that the Store kept.
func (s *Source) known(key string) (*index, error) {
	raw, ok := s.Store.Index(s.key(key))
	if !ok {
		return nil, errUnknown
	}
	x, err := loadIndex(raw)
	if err != nil {
		s.Log.Warn("an index that was kept is made anew", "layer", s.Digest, "error", err)
	}
	return x, err
}

// Open makes the tree of a layer: of the index that the Store kept, of the
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
	// One of the whole tar is as good as any, and lacks nothing.
	if x, err := s.known(""); err == nil {
		return newLayer(s, x, "")
	}
	for _, f := range s.formats() {
		if x, err := s.known(f.key); err == nil {
			return newLayer(s, x, f.key)
		}
		x, err := s.fromTOC(ctx, f)
		if err == nil {
			return newLayer(s, x, f.key)
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
	p := newPassing(s)
	s.passing = p
	defer func() { s.passing = nil }()
	content := s.generation()
	x, err := s.build(ctx, f)
	if err == nil && s.generation() != content {
		err = fmt.Errorf("it became another while it was read: %w", ErrDigest)
	}
	if err != nil {
		p.end(err)
		return nil, s.blame(ctx, err)
	}
	l, err := newLayer(s, x, "")
	if err == nil {
		l.keep = p.key // what the pass came by is verified now
	}
	return l, err
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
	if v, ok := s.Blob.(interface{ Verified() bool }); ok && v.Verified() {
		return nil
	}
	_, err := io.Copy(io.Discard, newBlobReader(ctx, s.Blob, 0, s.Size))
	return err
}

// detect tells a format by how its bytes begin: media types and names mislead.
func detect(ctx context.Context, s *Source) (format, error) {
	head := make([]byte, min(s.Size, tarBlock))
	if n, err := s.Blob.ReadAt(ctx, head, 0); n < len(head) {
		return format{}, err
	}
	name := sniff(head)
	switch name {
	case "gzip":
		return format{name, "", gzipIndex}, nil
	case "zstd":
		return format{name, "", zstdIndex}, nil
	case "tar":
		return format{name, "", tarIndex}, nil
	}
	return format{}, fmt.Errorf("%w: neither a tar nor one in gzip or zstd", ErrFormat)
}

// sniff tells the format of a blob by its first bytes, tarBlock of them if there
// are as many; "" is none.
func sniff(head []byte) string {
	switch {
	case len(head) >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8:
		return "gzip"
	case len(head) >= 4 && isZstdMagic(binary.LittleEndian.Uint32(head)):
		return "zstd"
	case len(head) == tarBlock && (isZero(head) || tarHeader(head).check() == nil), len(head) == 0:
		return "tar"
	}
	return ""
}

func isZstdMagic(magic uint32) bool {
	return magic == zstdMagic || magic&skippableMask == skippableMagic
}

// IsArchive tells whether a blob begins as an archive does.
func IsArchive(ctx context.Context, blob Blob, size int64) (bool, error) {
	head := make([]byte, min(size, tarBlock))
	if n, err := blob.ReadAt(ctx, head, 0); n < len(head) {
		return false, err
	}
	return len(head) > 0 && sniff(head) != "", nil
}

// build makes an index and has it kept.
func (s *Source) build(ctx context.Context, f format) (*index, error) {
	b := newBuilder(func(err error) {
		s.Log.Warn("an entry is left out", "layer", s.Digest, "error", err)
	})
	if s.Annotations[stargzTOCDigest] != "" {
		b.hide = stargzNames
	}
	at, err := f.index(ctx, s, b)
	if err != nil {
		return nil, err
	}
	if f.key == "" {
		if err := s.checkDiffID(at); err != nil {
			return nil, err
		}
	}
	raw, err := b.finish(at)
	if err != nil {
		return nil, err
	}
	// That of a plain tar is made of parts of a blob that may not have been
	// verified as a whole, and is soon made again.
	if at.layout != layoutPlain {
		s.Store.PutIndex(s.key(f.key), raw)
	}
	return loadIndex(raw)
}

// checkDiffID compares the tar with what the image's config says of it.
func (s *Source) checkDiffID(at stream) error {
	got := digest.NewDigestFromBytes(digest.SHA256, at.digest[:])
	if at.layout == layoutPlain {
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
