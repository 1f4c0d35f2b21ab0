package archive

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What SOCI is known by (soci-snapshotter, docs/soci-index.md). An image has the
// index of version 1 as a referrer of that artifact type, and names the one of
// version 2 in an annotation.
const (
	// SOCIIndexDigest is the annotation of an image's manifest with the digest
	// of its SOCI index.
	SOCIIndexDigest = "com.amazon.soci.index-digest"
	// MediaTypeSOCIIndexV1 and MediaTypeSOCIIndexV2 are the artifact types of
	// SOCI indexes, which are image manifests, and the media types of their
	// configs.
	MediaTypeSOCIIndexV1 = "application/vnd.amazon.soci.index.v1+json"
	MediaTypeSOCIIndexV2 = "application/vnd.amazon.soci.index.v2+json"

	sociLayerDigest = "com.amazon.soci.image-layer-digest"
)

// ZTOCs returns the tables of contents that a SOCI index has, by the digest of
// the image's layer that each is of. It takes the layers of the index's
// manifest.
func ZTOCs(layers []ocispec.Descriptor) map[digest.Digest]ocispec.Descriptor {
	ztocs := make(map[digest.Digest]ocispec.Descriptor, len(layers))
	for _, ztoc := range layers {
		layer := digest.Digest(ztoc.Annotations[sociLayerDigest])
		if layer.Validate() != nil || ztoc.Digest.Validate() != nil {
			continue
		}
		if _, ok := ztocs[layer]; !ok {
			ztocs[layer] = ztoc
		}
	}
	return ztocs
}

// Fields of the tables in a zTOC, in their order in ztoc.fbs.
const (
	ztocCompressedSize   = 2
	ztocUncompressedSize = 3
	ztocTOC              = 4
	ztocCompression      = 5

	ztocMetadata = 0 // of TOC

	ztocAlgorithm   = 0 // of CompressionInfo
	ztocMaxSpan     = 1
	ztocSpanDigests = 2
	ztocCheckpoints = 3

	ztocName     = 0 // of FileMetadata
	ztocType     = 1
	ztocOffset   = 2 // of the content in the tar
	ztocSize     = 3
	ztocLink     = 4
	ztocMode     = 5
	ztocUID      = 6
	ztocGID      = 7
	ztocModTime  = 10
	ztocDevMajor = 11
	ztocDevMinor = 12
	ztocPAX      = 13 // called xattrs, but all records of the pax header

	ztocKey   = 0 // of Xattr
	ztocValue = 1
)

// ztocGzip is the compression that a zTOC has unless it says another. Those of
// plain tars are of no use: a tar is quick to index.
const ztocGzip = 1

// sociIndex indexes a gzip layer by its zTOC (soci-snapshotter, ztoc.fbs). It
// reads nothing of the layer. The stream is the tar as far as the zTOC knows it:
// what follows its last entry may be missing.
func sociIndex(s *Source, b *builder) error {
	f := newFlatbuffer(s.ZTOC)
	root := f.root()
	packed, size := root.int64(ztocCompressedSize), root.int64(ztocUncompressedSize)
	info := root.table(ztocCompression)
	algorithm := info.uint8(ztocAlgorithm, ztocGzip)
	if f.err != nil {
		return untrusted("parse the zTOC: %w", f.err)
	}
	if packed != s.Size || size <= 0 || size > maxStream || algorithm != ztocGzip {
		return untrusted("a zTOC of %d bytes in %d by algorithm %d, where the layer has %d", size, packed, algorithm, s.Size)
	}
	if err := sociSpans(info, packed, size, b); err != nil {
		return err
	}
	return sociEntries(root.table(ztocTOC), size, b)
}

// Sizes in the checkpoints' blob, in bytes (gzip_zinfo.h): a count and the
// writer's span size, then each with its place in the layer, its place in the
// tar, a number of bits and a window.
const (
	zinfoHeader     = 4 + 8
	zinfoWindow     = 32 << 10
	zinfoCheckpoint = 8 + 8 + 1 + zinfoWindow
)

// A zinfo is the blob with the checkpoints.
type zinfo struct {
	raw   []byte
	count int
	// implied is that the first checkpoint isn't in the blob, as in version 1,
	// which takes it to be after a gzip header without a name.
	implied bool
}

func parseZinfo(raw []byte) (zinfo, error) {
	if len(raw) < zinfoHeader {
		return zinfo{}, untrusted("checkpoints in %d bytes", len(raw))
	}
	count, body := int64(binary.LittleEndian.Uint32(raw)), int64(len(raw)-zinfoHeader)
	if count == 0 || body != count*zinfoCheckpoint && body != (count-1)*zinfoCheckpoint {
		return zinfo{}, untrusted("%d checkpoints in %d bytes", count, len(raw))
	}
	return zinfo{raw[zinfoHeader:], int(count), body < count*zinfoCheckpoint}, nil
}

// A zinfoPoint is a checkpoint. Deflate goes on in the byte before in, of which
// the upper bits are what comes next, or at in, where bits is 0.
type zinfoPoint struct {
	in, out int64
	bits    uint8
	window  []byte // of out, if there are more
}

func (z zinfo) point(i int) zinfoPoint {
	if z.implied {
		if i == 0 {
			return zinfoPoint{in: gzipHeader}
		}
		i--
	}
	raw := z.raw[i*zinfoCheckpoint : (i+1)*zinfoCheckpoint]
	p := zinfoPoint{
		in:   int64(binary.LittleEndian.Uint64(raw)),     //nolint:gosec // checked by sociSpans
		out:  int64(binary.LittleEndian.Uint64(raw[8:])), //nolint:gosec // likewise
		bits: raw[16],
	}
	// A window that has more than was inflated begins with zeros.
	p.window = raw[17+zinfoWindow-max(0, min(p.out, zinfoWindow)):]
	return p
}

// gzipHeader is the length of a gzip header without optional fields.
const gzipHeader = 10

// begin is the first byte that is needed to go on.
func (p zinfoPoint) begin() int64 {
	if p.bits > 0 {
		return p.in - 1
	}
	return p.in
}

// sociSpans adds the spans. A span's digest is of the bytes from where its
// checkpoint begins to the next one's in: where a block ends within a byte,
// that byte is in both, which is just what inflating needs.
func sociSpans(info flatTable, packed, size int64, b *builder) error {
	digests, last := info.offsets(ztocSpanDigests), info.uint32(ztocMaxSpan)
	z, err := parseZinfo(info.bytes(ztocCheckpoints))
	switch {
	case info.f != nil && info.f.err != nil:
		return untrusted("parse the zTOC: %w", info.f.err)
	case err != nil:
		return err
	case digests.len != z.count || int64(last) != int64(z.count)-1:
		return untrusted("%d checkpoints, %d digests, %d as the last span", z.count, digests.len, last)
	}
	for i := range z.count {
		p := z.point(i)
		end, next := packed, size
		if i+1 < z.count {
			following := z.point(i + 1)
			end, next = following.in, following.out
		}
		// Where a stream ends with a block that holds nothing, as Go's gzip writes
		// it, so does the last span.
		empty := i > 0 && i+1 == z.count && p.out == size
		if p.in < gzipHeader || p.in >= end || end > packed || p.bits > 7 || i == 0 && (p.out != 0 || p.bits > 0) || p.out < 0 || p.out >= next && !empty || next > size {
			return untrusted("span %d is from %d to %d of %d, inflated from %d to %d of %d", i, p.in, end, packed, p.out, next, size)
		}
		sp := span{
			stream: p.out, length: next - p.out, blob: p.begin(), packed: end - p.begin(),
			codec: codecDeflate, bits: (8 - p.bits) % 8, digestOf: digestOfPacked,
		}
		if empty {
			continue
		}
		if sp.window, err = deflateWindow(p.window); err != nil {
			return err
		}
		d := digests.string(i)
		var ok bool
		if sp.digest, ok = parseSHA256(d); !ok {
			return untrusted("span %d has the digest %.100q", i, d)
		}
		if err := b.addSpan(sp); err != nil {
			return untrusted("span %d: %w", i, err)
		}
	}
	return nil
}

// sociEntries adds the entries, which are in the tar's order.
func sociEntries(toc flatTable, size int64, b *builder) error {
	list := toc.offsets(ztocMetadata)
	end := int64(0) // of the content before
	for i := range list.len {
		t := list.table(i)
		e, err := sociEntry(t)
		if list.f.err != nil {
			return untrusted("parse the zTOC: %w", list.f.err)
		}
		if err != nil {
			return err
		}
		// Before each content is a header of its own at least.
		off := t.int64(ztocOffset)
		if off < end+tarBlock || off%tarBlock != 0 || off > size || e.size < 0 || e.size > size-off {
			return untrusted("entry %.100q has %d bytes at %d, after %d of %d", e.name, e.size, off, end, size)
		}
		e.extents = whole(off, e.size)
		end = off + e.size
		if err := b.add(e); err != nil {
			return err
		}
	}
	if toc.f == nil || toc.f.err != nil {
		return untrusted("parse the zTOC: its list of files")
	}
	return nil
}

// sociEntry is what the zTOC says of a file, without where its content is.
func sociEntry(t flatTable) (entry, error) {
	e := entry{name: t.string(ztocName), mode: uint32(t.int64(ztocMode) & modeMask), uid: t.uint32(ztocUID), gid: t.uint32(ztocGID), link: t.string(ztocLink)} //nolint:gosec // masked
	typ := t.string(ztocType)
	var ok bool
	if e.typ, ok = tocTypes[typ]; !ok {
		return e, untrusted("%.100q is of type %.100q", e.name, typ)
	}
	if e.typ == TypeRegular {
		e.size = t.int64(ztocSize)
	}
	for field, to := range map[int]*uint32{ztocDevMajor: &e.major, ztocDevMinor: &e.minor} {
		n := t.int64(field)
		if n < 0 || n > math.MaxUint32 {
			return e, untrusted("%.100q has a device number of %d", e.name, n)
		}
		*to = uint32(n)
	}
	// The writer leaves a time out that it couldn't write.
	mod := t.string(ztocModTime)
	var err error
	if e.mtime, err = parseTime(mod); err != nil || mod == "" {
		return e, untrusted("%.100q has the time %.100q", e.name, mod)
	}
	records := t.offsets(ztocPAX)
	for i := range records.len {
		record := records.table(i)
		key, value := record.string(ztocKey), record.string(ztocValue)
		if strings.HasPrefix(key, paxSparse) {
			// The zTOC has the size of what the file expands to, and the place
			// of what is in the tar.
			return e, untrusted("%.100q is a sparse file", e.name)
		}
		if name, ok := strings.CutPrefix(key, paxXattr); ok && value != "" {
			e.xattrs = append(e.xattrs, Xattr{name, value})
		}
	}
	return e, nil
}
