package archive

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a table of contents in JSON, in bytes. The largest that were seen
// have 92 MB. Of an entry about 50 bytes can't be compressed, the half of its
// digest's digits above all, so that a packed one of more than maxPackedTOC
// would be larger than maxTOC.
const (
	maxTOC       = 150 << 20
	maxPackedTOC = 64 << 20
)

// untrusted is errUntrusted with a reason.
func untrusted(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errUntrusted, fmt.Errorf(format, args...))
}

// A tocEntry is an entry of the table of contents that eStargz and zstd:chunked
// share (stargz-snapshotter, docs/estargz.md; the latter adds endOffset and
// chunkType). Files of several chunks have further entries, of type chunk,
// after their own.
type tocEntry struct {
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Size     int64             `json:"size"`
	ModTime  string            `json:"modtime"`
	LinkName string            `json:"linkName"`
	Mode     int64             `json:"mode"` // the tar header's, not Go's
	UID      int64             `json:"uid"`
	GID      int64             `json:"gid"`
	DevMajor int64             `json:"devMajor"`
	DevMinor int64             `json:"devMinor"`
	Xattrs   map[string][]byte `json:"xattrs"`
	Digest   string            `json:"digest"` // of the file

	Offset      int64  `json:"offset"`      // of the chunk's member or frame in the blob
	EndOffset   int64  `json:"endOffset"`   // where the file's last chunk ends there
	InnerOffset int64  `json:"innerOffset"` // of the chunk in what the member inflates to
	ChunkOffset int64  `json:"chunkOffset"` // in the file
	ChunkSize   int64  `json:"chunkSize"`   // 0 is up to the file's end
	ChunkType   string `json:"chunkType"`
	ChunkDigest string `json:"chunkDigest"`
}

const tocChunk = "chunk"

var tocTypes = map[string]Type{
	"dir": TypeDir, "reg": TypeRegular, "symlink": TypeSymlink, "hardlink": typeHardlink,
	"char": TypeChar, "block": TypeBlock, "fifo": TypeFIFO,
}

// A tocReader gives a builder what a table of contents lists. The stream is the
// files' contents in its order; each chunk is a span.
type tocReader struct {
	b     *builder
	codec codec
	limit int64 // where the last chunk in the blob ends at the latest

	stream  int64    // offset of the next chunk
	file    tocEntry // the file whose chunks are read
	covered int64    // bytes of it in the chunks so far; file.Size when it is done

	// borders are offsets in the blob at which a chunk begins or a file ends.
	// Few entries say where a chunk ends: it is at the next border.
	borders []int64
}

// read takes a whole table. Whatever is wrong with it is errUntrusted; other
// errors are the builder's, of a layer that is too large.
func (t *tocReader) read(r io.Reader) error {
	dec := json.NewDecoder(r)
	if err := expectDelim(dec, '{'); err != nil {
		return err
	}
	version, seen := 0, false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return untrusted("parse it: %w", err)
		}
		switch {
		case key == "version":
			err = dec.Decode(&version)
		case key == "entries" && !seen:
			seen = true
			if err := t.entries(dec); err != nil {
				return err
			}
		case key == "entries":
			err = errors.New("entries twice")
		default:
			var ignored json.RawMessage
			err = dec.Decode(&ignored)
		}
		if err != nil {
			return untrusted("parse it: %v: %w", key, err)
		}
	}
	if err := expectDelim(dec, '}'); err != nil {
		return err
	}
	if version != 1 || !seen {
		return untrusted("version %d", version)
	}
	return t.finish()
}

func expectDelim(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return untrusted("parse it: %w", err)
	}
	if token != want {
		return untrusted("parse it: %v instead of %v", token, want)
	}
	return nil
}

// entries reads the array of entries one by one: all of them at once would
// take several times the table's size. null is an empty array.
func (t *tocReader) entries(dec *json.Decoder) error {
	token, err := dec.Token()
	if err != nil {
		return untrusted("parse it: %w", err)
	}
	if token == nil {
		return nil
	}
	if token != json.Delim('[') {
		return untrusted("parse it: %v instead of entries", token)
	}
	for dec.More() {
		var e tocEntry
		if err := dec.Decode(&e); err != nil {
			return untrusted("parse an entry: %w", err)
		}
		if err := t.entry(e); err != nil {
			return err
		}
	}
	return expectDelim(dec, ']')
}

func (t *tocReader) entry(e tocEntry) error {
	if e.Type == tocChunk {
		if t.covered == t.file.Size || e.Name != t.file.Name {
			return untrusted("a chunk of %.100q where none is due", e.Name)
		}
		return t.chunk(e)
	}
	if err := t.complete(); err != nil {
		return err
	}
	made, err := e.entry()
	if err != nil {
		return err
	}
	t.file, t.covered = tocEntry{}, 0
	if made.typ == TypeRegular {
		if e.Size < 0 || e.Size > maxStream-t.stream {
			return untrusted("file %.100q of %d bytes", e.Name, e.Size)
		}
		made.size, made.extents = e.Size, whole(t.stream, e.Size)
	}
	if err := t.b.add(made); err != nil {
		return err
	}
	if made.size == 0 {
		return nil
	}
	t.file = e
	return t.chunk(e)
}

// complete says whether the chunks of the last file were all there.
func (t *tocReader) complete() error {
	if t.covered != t.file.Size {
		return untrusted("the chunks of %.100q have %d of %d bytes", t.file.Name, t.covered, t.file.Size)
	}
	return nil
}

// entry is what the entry says of the file, without its content.
func (e *tocEntry) entry() (entry, error) {
	typ, ok := tocTypes[e.Type]
	if !ok {
		return entry{}, untrusted("%.100q is of type %.100q", e.Name, e.Type)
	}
	made := entry{name: e.Name, typ: typ, mode: uint32(e.Mode & modeMask), link: e.LinkName}
	for _, n := range []struct {
		from int64
		to   *uint32
	}{{e.UID, &made.uid}, {e.GID, &made.gid}, {e.DevMajor, &made.major}, {e.DevMinor, &made.minor}} {
		if n.from < 0 || n.from > math.MaxUint32 {
			return entry{}, untrusted("%.100q has an owner or a device number of %d", e.Name, n.from)
		}
		*n.to = uint32(n.from)
	}
	var err error
	if made.mtime, err = parseTime(e.ModTime); err != nil {
		return entry{}, untrusted("%.100q: %w", e.Name, err)
	}
	lost := hasLost(e.Name) || hasLost(e.LinkName)
	for name, value := range e.Xattrs {
		lost = lost || hasLost(name)
		if len(value) > 0 { // what a tar can't say, since there it deletes
			made.xattrs = append(made.xattrs, Xattr{name, string(value)})
		}
	}
	if lost {
		return entry{}, untrusted("the name %.100q has lost what isn't UTF-8", e.Name)
	}
	return made, nil
}

// hasLost tells whether a name may have been another one: JSON has U+FFFD
// where bytes were not UTF-8. A name that really has it suffers too.
func hasLost(name string) bool { return strings.ContainsRune(name, utf8.RuneError) }

// parseTime reads a time (RFC 3339). stargz leaves out the time 0; Go's zero
// time is what a writer had that knew none.
func parseTime(s string) (mtime, error) {
	if s == "" {
		return mtime{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || at.IsZero() {
		return mtime{}, err
	}
	return mtime{at.Unix(), uint32(at.Nanosecond())}, nil //nolint:gosec // below 1e9
}

// chunk takes the file's next chunk.
func (t *tocReader) chunk(e tocEntry) error {
	length := e.ChunkSize
	if length == 0 {
		length = t.file.Size - t.covered
	}
	if e.ChunkOffset != t.covered || length < 0 || length > t.file.Size-t.covered {
		return untrusted("a chunk of %.100q has %d bytes at %d, after %d of %d", t.file.Name, e.ChunkSize, e.ChunkOffset, t.covered, t.file.Size)
	}
	if e.Offset < 0 || e.Offset >= t.limit || e.EndOffset < 0 || e.EndOffset > t.limit {
		return untrusted("a chunk of %.100q at %d to %d of %d bytes", t.file.Name, e.Offset, e.EndOffset, t.limit)
	}
	t.borders = append(t.borders, e.Offset)
	if e.EndOffset > 0 {
		t.borders = append(t.borders, e.EndOffset)
	}
	spans, err := t.spans(e, length)
	if err != nil {
		return err
	}
	for _, sp := range spans {
		err := t.b.addSpan(sp)
		if errors.Is(err, ErrFormat) || errors.Is(err, ErrTooLarge) {
			return untrusted("a chunk of %.100q: %w", t.file.Name, err)
		}
		if err != nil {
			return err
		}
	}
	t.stream += length
	t.covered += length
	return nil
}

// spans are those of a chunk: one, or of zeros as many as it takes.
func (t *tocReader) spans(e tocEntry, length int64) ([]span, error) {
	sp := span{stream: t.stream, length: length, blob: e.Offset, codec: t.codec, skip: e.InnerOffset, digestOf: digestOfInflated}
	switch e.ChunkType {
	case "":
	case "zeros":
		var spans []span
		for at := int64(0); at < length; at += maxSpan {
			spans = append(spans, span{stream: t.stream + at, length: min(length-at, maxSpan), codec: codecZero})
		}
		return spans, nil
	default:
		return nil, untrusted("a chunk of %.100q is of type %.100q", t.file.Name, e.ChunkType)
	}
	d := e.ChunkDigest
	if d == "" && length == t.file.Size {
		d = e.Digest
	}
	var ok bool
	if sp.digest, ok = parseSHA256(d); !ok {
		return nil, untrusted("a chunk of %.100q has the digest %.100q", t.file.Name, d)
	}
	return []span{sp}, nil
}

// finish finds where the chunks end in the blob.
func (t *tocReader) finish() error {
	if err := t.complete(); err != nil {
		return err
	}
	t.borders = append(t.borders, t.limit)
	slices.Sort(t.borders)
	for i := range t.b.spans {
		sp := &t.b.spans[i]
		if sp.codec == codecZero {
			continue
		}
		next, _ := slices.BinarySearch(t.borders, sp.blob+1)
		if sp.packed = t.borders[next] - sp.blob; sp.packed > maxPacked {
			return untrusted("a chunk of %d bytes in %d", sp.length, sp.packed)
		}
	}
	return nil
}

// parseSHA256 reads a digest; every writer of these formats uses SHA-256.
func parseSHA256(d string) (sum [32]byte, ok bool) {
	digits, ok := strings.CutPrefix(d, "sha256:")
	if !ok || len(digits) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digits))
	return sum, err == nil
}

// readRange reads length bytes of the layer at off.
func (s *Source) readRange(ctx context.Context, off, length int64) ([]byte, error) {
	s.ranges = append(s.ranges, extent{stream: off, length: length})
	if s.Room != nil {
		if err := s.Room(ctx, length, true); err != nil {
			return nil, readError{err}
		}
	}
	p := make([]byte, length)
	return p, s.readChecked(ctx, p, off)
}
