package archive

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/opencontainers/go-digest"
)

// A Blob is the bytes of a layer. ReadAt is io.ReaderAt's with a context: fewer
// bytes than asked for come with an error, io.EOF at the end.
//
// One that has the method Verified() bool tells by it whether its bytes are
// known to match its digest; of another, reading all of it is what finds out.
type Blob interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}

// A CheckedBlob is a Blob that can tell who compares what it gives from who
// doesn't.
type CheckedBlob interface {
	Blob
	// ReadChecked is ReadAt for one who compares what it reads with a digest
	// before anybody else gets it: it may get what isn't verified.
	ReadChecked(ctx context.Context, p []byte, off int64) (int, error)
	// Doubt is told that n bytes at off are wrong. changed is that they are
	// others now: whatever gave the wrong ones was at fault, and they are worth
	// another look. The error is that this can't be found out.
	Doubt(ctx context.Context, off, n int64) (changed bool, err error)
}

// An ExactBlob is one that can be told that no more of it is wanted than what is read.
type ExactBlob interface {
	CheckedBlob
	// ReadExact is ReadChecked that has nothing fetched ahead.
	ReadExact(ctx context.Context, p []byte, off int64) (int, error)
}

// A WholeBlob is one that can be told that all of it is read, so that it needn't
// find that out before it has more fetched than what is asked for.
type WholeBlob interface {
	Blob
	// ReadNext is ReadAt for one who reads from the first byte to the last.
	ReadNext(ctx context.Context, p []byte, off int64) (int, error)
}

// A Store keeps what an archive made, for as long as it likes.
type Store interface {
	// Keep returns the bytes of that key: those that it holds in memory, or
	// what fill makes, which is called once however many ask. They are shared,
	// and nobody changes them. While fill runs it takes cost bytes of memory.
	// Where ctx has ended, it is begun and not waited for.
	Keep(ctx context.Context, key string, cost int64, fill func(context.Context) ([]byte, error)) ([]byte, error)
	// Kept is what Keep returns for that key, if that is in memory.
	Kept(key string) ([]byte, bool)
	// Index returns what PutIndex was given under that key, if it is still there.
	Index(key string) ([]byte, bool)
	// It tells whether it is.
	PutIndex(key string, index []byte) bool
	// Derive returns the blob with that digest and size, which unpack makes of
	// a layer as a whole, from its first byte on. What Derive returns is in use
	// until it is closed.
	Derive(d digest.Digest, size int64, unpack func(context.Context) (io.ReadCloser, error)) (DerivedBlob, error)
}

// A DerivedBlob is a Blob that is closed after use. It is checked as other blobs
// are: what is read of it before all of it was is as good as what it is made of.
type DerivedBlob interface {
	Blob
	io.Closer
	Verified() bool
	Generation() uint64
}

// A Source is a blob that may be an archive, and what is known of it.
type Source struct {
	Blob        Blob
	Digest      digest.Digest
	Size        int64 // bytes
	MediaType   string
	Annotations map[string]string // its descriptor's
	// DiffID is the digest of the tar, where an image's config gives it; "" is
	// unknown. A tar that doesn't match it is refused.
	DiffID digest.Digest
	// ZTOC is the layer's SOCI table of contents, verified; nil where there is
	// none.
	ZTOC []byte
	// Passed, if not nil, is called while the layer is indexed in one pass: with
	// what the pass has come by so far, each time with more. It must not wait.
	// The layer that Open returns in the end is another one.
	Passed func(*Layer)

	// MaxIndex bounds the index that is made, in bytes; 0 is as large as may be.
	MaxIndex int64
	// Room, if not nil, is asked for the memory that making the index takes, as it
	// grows, in bytes. It may wait where that is allowed, and its error ends the
	// opening.
	Room func(ctx context.Context, bytes int64, wait bool) error

	Store Store
	Log   *slog.Logger

	// ranges are those that a table of contents was read from.
	ranges []extent
	// passing is the pass through the layer that is under way, or, where the
	// layer is what such a one has come by, that one; else nil.
	passing *passing
}

// errUntrusted marks a table of contents that can't be used: it is missing,
// damaged, doesn't match its digest or has lost something. The layer is then
// read as the tar it is.
var errUntrusted = errors.New("the table of contents isn't used")

// Errors of archives.
var (
	// ErrFormat is the error of a blob that is none of the formats, or breaks
	// its format's rules.
	ErrFormat = errors.New("not a valid archive")
	// ErrTooLarge is the error of an archive beyond the bounds: maxEntries,
	// maxIndex.
	ErrTooLarge = errors.New("archive too large")
	// ErrLost is the error of applying a layer that was trimmed, and whose index the
	// Store has no longer: it has to be opened anew.
	ErrLost = errors.New("the index of the layer isn't kept any more")
	// ErrDigest is the error of content that doesn't match the digest that an
	// index or an image's config gives.
	ErrDigest = errors.New("content doesn't match its digest")
)
