package differential

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A format is a way in which a tar becomes a layer's blob.
type format struct {
	mediaType string
	pack      func(tar []byte) []byte
}

var formats = map[string]*format{
	"tar":     {ocispec.MediaTypeImageLayer, func(t []byte) []byte { return t }},
	"gzip":    {ocispec.MediaTypeImageLayerGzip, func(t []byte) []byte { return gzipped(t, len(t)) }},
	"members": {ocispec.MediaTypeImageLayerGzip, func(t []byte) []byte { return gzipped(t, max(700, len(t)/5)) }},
	"zstd":    {ocispec.MediaTypeImageLayerZstd, func(t []byte) []byte { return zstdEncoder.EncodeAll(t, nil) }},
}

var zstdEncoder = must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)))

// must is for what can't fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// gzipped is the content as members that hold at most so many bytes each.
func gzipped(content []byte, each int) []byte {
	var b bytes.Buffer
	for first := true; first || len(content) > 0; first = false {
		n := min(each, len(content))
		w := gzip.NewWriter(&b)
		_ = must(w.Write(content[:n]))
		if err := w.Close(); err != nil {
			panic(err) // a buffer takes everything
		}
		content = content[n:]
	}
	return b.Bytes()
}

// A blob is a layer as it is pushed, and the tar in it.
type blob struct {
	mediaType string
	packed    []byte
	tar       []byte
}

func (l *layer) blob() blob {
	f, content := formats[l.format], l.tar()
	return blob{f.mediaType, f.pack(content), content}
}

// tar writes the entries as they are, odd names too, which archive/tar's writer
// refuses.
func (l *layer) tar() []byte {
	var b bytes.Buffer
	for i, e := range l.entries {
		e.write(&b)
		if i < len(l.entries)-1 || l.ending != endNoPad {
			b.Write(make([]byte, padding(b.Len())))
		}
	}
	if l.ending == endWhole {
		b.Write(make([]byte, 2*block))
	}
	return b.Bytes()
}

// block is the unit of a tar.
const block = 512

func padding(n int) int { return -n & (block - 1) }

// write writes the header, with a pax header in front of it where one is
// needed, and the content.
func (e *entry) write(b *bytes.Buffer) {
	if e.kind == tar.TypeXGlobalHeader {
		record := paxRecord("comment", e.content)
		b.Write(e.header(e.kind, e.name, int64(len(record))))
		b.WriteString(record)
		return
	}
	if records := e.paxRecords(); records != "" {
		b.Write(e.header(tar.TypeXHeader, "PaxHeaders/x", int64(len(records))))
		b.WriteString(records)
		b.Write(make([]byte, padding(b.Len())))
	}
	b.Write(e.header(e.kind, e.name, int64(len(e.content))+e.pad))
	b.WriteString(e.content)
	if e.pad > 0 {
		_ = must(io.Copy(b, fakeregistry.Generated(uint64(e.pad), e.pad)))
	}
}

// The largest values that a header's own fields hold.
const (
	maxName  = 100
	maxOwner = 1<<21 - 1
	maxTime  = 1<<33 - 1
)

func (e *entry) paxRecords() string {
	records := map[string]string{}
	if len(e.name) > maxName {
		records["path"] = e.name
	}
	if len(e.link) > maxName {
		records["linkpath"] = e.link
	}
	if e.uid > maxOwner {
		records["uid"] = strconv.FormatInt(e.uid, 10)
	}
	if e.gid > maxOwner {
		records["gid"] = strconv.FormatInt(e.gid, 10)
	}
	if s, ns := e.mtime/1e9, e.mtime%1e9; ns != 0 || s < 0 || s > maxTime {
		sign := ""
		if e.mtime < 0 {
			sign, s, ns = "-", -s, -ns
		}
		records["mtime"] = strings.TrimRight(strings.TrimRight(fmt.Sprintf("%s%d.%09d", sign, s, ns), "0"), ".")
	}
	for key, value := range e.xattrs {
		records["SCHILY.xattr."+key] = value
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(records)) {
		b.WriteString(paxRecord(key, records[key]))
	}
	return b.String()
}

// paxRecord is "LENGTH KEY=VALUE\n", in which the length counts itself.
func paxRecord(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	n := len(rest) + 1
	for len(strconv.Itoa(n))+len(rest) != n {
		n = len(strconv.Itoa(n)) + len(rest)
	}
	return strconv.Itoa(n) + rest
}

// header is a header block of ustar (POSIX.1-1988).
func (e *entry) header(kind byte, name string, size int64) []byte {
	h := make([]byte, block)
	octal := func(at, width int, n int64) { copy(h[at:], fmt.Sprintf("%0*o", width, n)) }
	copy(h[:maxName], name)
	octal(100, 7, e.mode)
	octal(108, 7, min(e.uid, maxOwner))
	octal(116, 7, min(e.gid, maxOwner))
	octal(124, 11, size)
	octal(136, 11, min(max(0, e.mtime/1e9), maxTime))
	h[156] = kind
	copy(h[157:257], e.link)
	copy(h[257:], "ustar\x0000")
	octal(329, 7, e.major)
	octal(337, 7, e.minor)
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00", sum))
	return h
}
