package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func testBuilder(t *testing.T) *builder {
	return newBuilder(func(err error) { t.Errorf("left out: %v", err) })
}

// withoutLost is a TOC without the entries whose names have lost something:
// those of the base image's first layer, whose other contents are still worth
// a test.
func withoutLost(t *testing.T, toc []byte) []byte {
	t.Helper()
	var all struct {
		Version int                          `json:"version"`
		Entries []map[string]json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(toc, &all); err != nil {
		t.Fatal(err)
	}
	before := len(all.Entries)
	all.Entries = slices.DeleteFunc(all.Entries, func(e map[string]json.RawMessage) bool {
		var name string
		return json.Unmarshal(e["name"], &name) != nil || hasLost(name)
	})
	if len(all.Entries) == before {
		t.Fatal("no name in the table has lost anything")
	}
	kept, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func keepUTF8(h *tar.Header) bool { return !hasLost(h.Name) }

func keepAll(*tar.Header) bool { return true }

// someDigest is a digest of the right form.
var someDigest = "sha256:" + strings.Repeat("0a", 32)

// tocOf is a table with these entries.
func tocOf(entries ...string) string {
	return `{"version":1,"entries":[` + strings.Join(entries, ",") + `]}`
}

// tocFile is a regular file with the fields given.
func tocFile(fields string) string {
	return `{"name":"f","type":"reg",` + fields + `}`
}

func TestTOCRefuses(t *testing.T) {
	d := `"chunkDigest":"` + someDigest + `"`
	tests := map[string]string{
		"nothing":                            ``,
		"not JSON":                           `SG`,
		"an array":                           `[]`,
		"a string":                           `"version"`,
		"no entries":                         `{"version":1}`,
		"no version":                         `{"entries":[]}`,
		"version 2":                          `{"version":2,"entries":[]}`,
		"version of the wrong type":          `{"version":"1","entries":[]}`,
		"entries twice":                      `{"version":1,"entries":[],"entries":[]}`,
		"entries of another type":            `{"version":1,"entries":{}}`,
		"cut in the entries":                 `{"version":1,"entries":[{"name":"d","type":"dir"}`,
		"cut after the entries":              `{"version":1,"entries":[]`,
		"cut in a name":                      `{"version":1,"entries":[{"name":"d`,
		"a number too large":                 tocOf(tocFile(`"size":99999999999999999999`)),
		"a fraction":                         tocOf(tocFile(`"size":1.5`)),
		"nested too deep":                    `{"version":1,"x":` + strings.Repeat("[", 20000),
		"no type":                            tocOf(`{"name":"f"}`),
		"an unknown type":                    tocOf(`{"name":"f","type":"socket"}`),
		"a chunk first":                      tocOf(`{"name":"f","type":"chunk","chunkSize":1,"offset":1,` + d + `}`),
		"a chunk of no file":                 tocOf(`{"name":"f","type":"dir","size":2}`, `{"name":"f","type":"chunk","chunkSize":2,"offset":1,`+d+`}`),
		"a chunk of another file":            tocOf(tocFile(`"size":2,"chunkSize":1,"offset":1,`+d), `{"name":"g","type":"chunk","chunkOffset":1,"offset":2,`+d+`}`),
		"a chunk too many":                   tocOf(tocFile(`"size":2,"offset":1,`+d), `{"name":"f","type":"chunk","chunkOffset":2,"offset":2,`+d+`}`),
		"a chunk missing":                    tocOf(tocFile(`"size":2,"chunkSize":1,"offset":1,` + d)),
		"a chunk missing, then another file": tocOf(tocFile(`"size":2,"chunkSize":1,"offset":1,`+d), `{"name":"g","type":"dir"}`),
		"chunks overlap":                     tocOf(tocFile(`"size":3,"chunkSize":2,"offset":1,`+d), `{"name":"f","type":"chunk","chunkOffset":1,"chunkSize":2,"offset":2,`+d+`}`),
		"chunks leave a gap":                 tocOf(tocFile(`"size":3,"chunkSize":1,"offset":1,`+d), `{"name":"f","type":"chunk","chunkOffset":2,"chunkSize":1,"offset":2,`+d+`}`),
		"chunks in another order":            tocOf(tocFile(`"size":2,"chunkSize":1,"chunkOffset":1,"offset":1,`+d), `{"name":"f","type":"chunk","chunkSize":1,"offset":2,`+d+`}`),
		"a chunk beyond the file":            tocOf(tocFile(`"size":2,"chunkSize":3,"offset":1,` + d)),
		"a chunk's size negative":            tocOf(tocFile(`"size":2,"chunkSize":-1,"offset":1,` + d)),
		"a chunk's offset negative":          tocOf(tocFile(`"size":2,"chunkOffset":-1,"offset":1,` + d)),
		"sizes that overflow":                tocOf(tocFile(`"size":2,"chunkOffset":-9223372036854775808,"offset":1,` + d)),
		"a chunk too large":                  tocOf(tocFile(fmt.Sprintf(`"size":%d,"offset":1,%s`, maxSpan+1, d))),
		"a chunk before the blob":            tocOf(tocFile(`"size":2,"offset":-1,` + d)),
		"a chunk after the blob":             tocOf(tocFile(`"size":2,"offset":1000,` + d)),
		"a chunk far after the blob":         tocOf(tocFile(`"size":2,"offset":9223372036854775807,` + d)),
		"an end before the blob":             tocOf(tocFile(`"size":2,"offset":1,"endOffset":-1,` + d)),
		"an end after the blob":              tocOf(tocFile(`"size":2,"offset":1,"endOffset":1001,` + d)),
		"skipped bytes negative":             tocOf(tocFile(`"size":2,"offset":1,"innerOffset":-1,` + d)),
		"too many skipped bytes":             tocOf(tocFile(fmt.Sprintf(`"size":2,"offset":1,"innerOffset":%d,%s`, maxSpan+1, d))),
		"a file's size negative":             tocOf(tocFile(`"size":-1`)),
		"a file too large":                   tocOf(tocFile(`"size":9223372036854775807,"chunkType":"zeros"`)),
		"files too large together":           tocOf(tocFile(fmt.Sprintf(`"size":%d,"chunkType":"zeros"`, maxStream)), tocFile(`"size":1,"offset":1,`+d)),
		"no digest":                          tocOf(tocFile(`"size":2,"offset":1`)),
		"a digest of two chunks":             tocOf(tocFile(`"size":2,"chunkSize":1,"offset":1,"digest":"`+someDigest+`"`), `{"name":"f","type":"chunk","chunkOffset":1,"offset":2,`+d+`}`),
		"a digest cut short":                 tocOf(tocFile(`"size":2,"offset":1,"chunkDigest":"` + someDigest[:70] + `"`)),
		"a digest not in hex":                tocOf(tocFile(`"size":2,"offset":1,"chunkDigest":"` + someDigest[:70] + `z"`)),
		"a digest of another kind":           tocOf(tocFile(`"size":2,"offset":1,"chunkDigest":"sha512:` + strings.Repeat("00", 64) + `"`)),
		"an unknown kind of chunk":           tocOf(tocFile(`"size":2,"offset":1,"chunkType":"holes",` + d)),
		"a time that is none":                tocOf(`{"name":"f","type":"dir","modtime":"yesterday"}`),
		"an owner too large":                 tocOf(`{"name":"f","type":"dir","uid":4294967296}`),
		"an owner negative":                  tocOf(`{"name":"f","type":"dir","gid":-1}`),
		"a device too large":                 tocOf(`{"name":"f","type":"char","devMajor":1,"devMinor":4294967296}`),
		"an attribute not in base64":         tocOf(`{"name":"f","type":"dir","xattrs":{"user.x":"&"}}`),
		"a name lost":                        tocOf(`{"name":"f\ufffd","type":"dir"}`),
		"a name not in UTF-8":                tocOf("{\"name\":\"f\xff\",\"type\":\"dir\"}"),
		"half a surrogate":                   tocOf(`{"name":"f\ud800","type":"dir"}`),
		"a target lost":                      tocOf(`{"name":"f","type":"symlink","linkName":"\ufffd"}`),
		"an attribute's name lost":           tocOf(`{"name":"f","type":"dir","xattrs":{"user.\ufffd":"YQ=="}}`),
	}
	for name, toc := range tests {
		t.Run(name, func(t *testing.T) {
			r := tocReader{b: testBuilder(t), codec: codecGzip, limit: 1000}
			if err := r.read(strings.NewReader(toc)); !errors.Is(err, errUntrusted) {
				t.Errorf("read(%.200s) = %v, want errUntrusted", toc, err)
			}
		})
	}
}

// What can't be fetched as one is refused before anything is fetched.
func TestTOCRefusesWideChunk(t *testing.T) {
	r := tocReader{b: testBuilder(t), codec: codecGzip, limit: 1 << 40}
	toc := tocOf(tocFile(`"size":2,"offset":1,"chunkDigest":"` + someDigest + `"`))
	if err := r.read(strings.NewReader(toc)); !errors.Is(err, errUntrusted) {
		t.Errorf("read of a chunk in 1 TiB = %v, want errUntrusted", err)
	}
}

func TestTOCReads(t *testing.T) {
	d := `"chunkDigest":"` + someDigest + `"`
	toc := `{"later":{"a":[1,{}]},"entries":` + `[` + strings.Join([]string{
		`{"name":"./d/","type":"dir","mode":1533,"modtime":"1969-12-31T23:59:59.25Z","later":1}`,
		`{"name":"a","type":"reg","size":5,"offset":100,"innerOffset":7,"chunkSize":2,` + d + `}`,
		`{"name":"a","type":"chunk","offset":200,"chunkOffset":2,` + d + `}`,
		`{"name":"empty","type":"reg","digest":"` + someDigest + `"}`,
		`{"name":"b","type":"reg","size":3,"offset":300,"endOffset":320,"digest":"` + someDigest + `"}`,
		fmt.Sprintf(`{"name":"holes","type":"reg","size":%d,"offset":400,"endOffset":500,"chunkType":"zeros","chunkSize":%d}`, maxSpan+12, maxSpan+2),
		fmt.Sprintf(`{"name":"holes","type":"chunk","offset":410,"chunkOffset":%d,"chunkSize":10,%s}`, maxSpan+2, d),
		`{"name":"null","type":"char","devMajor":1,"xattrs":{"user.a":"eA==","user.none":""},"modtime":"0001-01-01T00:00:00Z"}`,
	}, ",") + `],"version":1}`
	b := testBuilder(t)
	r := tocReader{b: b, codec: codecZstd, limit: 1000}
	if err := r.read(strings.NewReader(toc)); err != nil {
		t.Fatal(err)
	}
	sum, _ := parseSHA256(someDigest)
	want := []span{
		{stream: 0, length: 2, blob: 100, packed: 100, codec: codecZstd, skip: 7, digestOf: digestOfInflated, digest: sum},
		{stream: 2, length: 3, blob: 200, packed: 100, codec: codecZstd, digestOf: digestOfInflated, digest: sum},
		{stream: 5, length: 3, blob: 300, packed: 20, codec: codecZstd, digestOf: digestOfInflated, digest: sum},
		{stream: 8, length: maxSpan, codec: codecZero},
		{stream: 8 + maxSpan, length: 2, codec: codecZero},
		{stream: 10 + maxSpan, length: 10, blob: 410, packed: 90, codec: codecZstd, digestOf: digestOfInflated, digest: sum},
	}
	if fmt.Sprint(b.spans) != fmt.Sprint(want) {
		t.Errorf("spans\n are    %+v\n should %+v", b.spans, want)
	}
	files := recorded(t, b)
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, []string{"a", "b", "d", "empty", "holes", "null"}) {
		t.Errorf("names are %q", got)
	}
	if dir := files["d"]; dir.mode != 0o2775 || dir.mtime != (mtime{-1, 250000000}) {
		t.Errorf("d has mode %o and time %v", dir.mode, dir.mtime)
	}
	if b := files["b"]; b.size != 3 || !slices.Equal(b.extents, []extent{{0, 5, 3}}) {
		t.Errorf("b has %d bytes in %v", b.size, b.extents)
	}
	if n := files["null"]; n.major != 1 || n.minor != 0 || n.mtime != (mtime{}) || !slices.Equal(n.xattrs, []Xattr{{"user.a", "x"}}) {
		t.Errorf("null is %+v", n)
	}
}

func TestTOCWithoutEntries(t *testing.T) {
	for _, toc := range []string{`{"version":1,"entries":null}`, `{"version":1,"entries":[]}`} {
		b := testBuilder(t)
		r := tocReader{b: b, limit: 10}
		if err := r.read(strings.NewReader(toc)); err != nil || len(b.spans) > 0 {
			t.Errorf("read(%s) = %v, %d spans", toc, err, len(b.spans))
		}
	}
}

func FuzzTOC(f *testing.F) {
	d := `"chunkDigest":"` + someDigest + `"`
	f.Add(tocOf(tocFile(`"size":2,"offset":1,"chunkSize":1,`+d), `{"name":"f","type":"chunk","chunkOffset":1,"offset":2,`+d+`}`))
	f.Add(tocOf(tocFile(`"size":200000000,"offset":1,"chunkType":"zeros"`)))
	f.Add(tocOf(`{"name":"a/../b","type":"symlink","linkName":"c","xattrs":{"user.x":"YQ=="}}`, `{"name":"h","type":"hardlink","linkName":"b"}`))
	f.Add(`{"version":1,"entries":null}`)
	f.Fuzz(func(t *testing.T, toc string) {
		b := newBuilder(func(error) {})
		r := tocReader{b: b, codec: codecZstd, limit: 1000}
		err := r.read(strings.NewReader(toc))
		if err != nil {
			if !errors.Is(err, errUntrusted) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("read = %v", err)
			}
			return
		}
		checkBuilt(t, b, r.stream, 1000)
	})
}

// checkBuilt checks what holds of all that a table gives a builder: spans
// without gaps, within the blob and the bounds, and contents within them.
func checkBuilt(t *testing.T, b *builder, stream, blob int64) {
	t.Helper()
	end := int64(0)
	for i, sp := range b.spans {
		if sp.stream != end || sp.length <= 0 || sp.length > maxSpan || sp.packed < 0 || sp.packed > maxPacked || sp.blob < 0 || sp.blob+sp.packed > blob {
			t.Errorf("span %d is %+v", i, sp)
		}
		if sp.codec != codecZero && (sp.packed == 0 || sp.digestOf == digestOfNothing) {
			t.Errorf("span %d is %+v", i, sp)
		}
		end += sp.length
	}
	if end != stream {
		t.Errorf("spans end at %d of %d", end, stream)
	}
	for _, n := range recorded(t, b) {
		for _, x := range n.extents {
			if x.offset < 0 || x.length < 0 || x.stream < 0 || x.stream+x.length > stream || x.offset+x.length > n.size {
				t.Errorf("a file of %d bytes has %+v of %d", n.size, x, stream)
			}
		}
	}
}

// checkCause checks that errors of the blob aren't taken for the table's.
func checkCause(t *testing.T, s *Source, index func(context.Context, *Source, *builder) error) {
	t.Helper()
	broken := errors.New("connection reset")
	failing := *s
	failing.Blob = &memoryBlob{err: broken}
	if err := index(t.Context(), &failing, testBuilder(t)); !errors.Is(err, broken) || errors.Is(err, errUntrusted) {
		t.Errorf("index of a blob that can't be read = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := index(ctx, s, testBuilder(t)); !errors.Is(err, context.Canceled) || errors.Is(err, errUntrusted) {
		t.Errorf("index, interrupted = %v", err)
	}
}
