package mount

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestTruncatedLayers ends layers of every format early, at their borders and
// in between: what can be read is right.
func TestTruncatedLayers(t *testing.T) {
	t.Parallel()
	items := []item{
		directory("etc/"), regular("etc/os-release", osRelease), regular("etc/"+strings.Repeat("long", 60), "a long name\n"),
		regular("noise", noise(t, 1, 200<<10)), symlink("link", "etc"), regular("text", strings.Repeat("text\n", 2000)), regular("last", "last\n"),
	}
	h := mountHostile(t, "--timeout", "10s")
	content := tarOf(t, items...)
	for name, whole := range map[string]layer{
		"tar":                      plainLayer(content),
		"gzip":                     gzipLayer(t, content),
		"zstd":                     zstdLayer(t, content),
		"eStargz":                  stargzLayer(t, nil, items...),
		"zstd:chunked, stargz":     zstdChunkedLayer(t, true, nil, items...),
		"zstd:chunked, containers": zstdChunkedLayer(t, false, nil, items...),
	} {
		t.Run(name, func(t *testing.T) {
			size := len(whole.blob)
			for _, n := range []int{1, 9, 18, 100, 511, 512, 513, 1024, 1600, size / 3, size / 2, size - 1500, size - 1024, size - 512, size - 60, size - 51, size - 40, size - 8, size - 1, size} {
				cut := whole
				cut.blob = whole.blob[:n]
				found := h.check(t, cut, filesOf(items), "link")
				if n == size && len(found) != len(items) {
					t.Errorf("of all %d bytes %d names are there, not %d", n, len(found), len(items))
				}
			}
		})
	}
}

// binarySize is a size as GNU tar writes large ones.
func binarySize(n int64) string {
	b := binary.BigEndian.AppendUint64([]byte{0x80, 0, 0, 0}, uint64(n))
	if n < 0 {
		copy(b, "\xff\xff\xff\xff")
	}
	return string(b)
}

// TestLyingHeaders has a header lie between two good files.
func TestLyingHeaders(t *testing.T) {
	t.Parallel()
	end := make([]byte, 1024)
	first := bytes.TrimSuffix(tarOf(t, regular("etc/os-release", osRelease)), end)
	last := tarOf(t, regular("last", "last\n"))
	plain := func(i item) []byte { return bytes.TrimSuffix(tarOf(t, i), end) }
	file := plain(regular("lie", ""))
	pax := func(records string) []byte {
		padded := append([]byte(records), make([]byte, (512-len(records)%512)%512)...)
		header := patched(plain(regular("pax", "")), tarSize, fmt.Sprintf("%011o\x00", len(records)))
		return slices.Concat(patched(header, 156, "x"), padded, file)
	}
	sparse := patched(patched(file, 156, "S"), 257, "ustar  \x00")
	h := mountHostile(t, "--timeout", "10s")
	for name, lie := range map[string][]byte{
		"more than is there":          patched(file, tarSize, fmt.Sprintf("%011o\x00", 100*mib)),
		"the largest number":          patched(file, tarSize, binarySize(1<<63-1)),
		"almost the largest number":   patched(file, tarSize, binarySize(1<<63-513)),
		"negative":                    patched(file, tarSize, binarySize(-512)),
		"the smallest number":         patched(file, tarSize, binarySize(-1<<63)),
		"no number":                   patched(file, tarSize, "ninety-nine\x00"),
		"a link with a size":          patched(plain(symlink("lie", "last")), tarSize, "00000001000\x00"),
		"a directory with a size":     patched(plain(directory("lie")), tarSize, "00000001000\x00"),
		"wrong checksum":              slices.Concat(file[:tarChecksum], []byte("000000\x00 "), file[tarChecksum+8:]),
		"unknown type":                patched(file, 156, "?"),
		"PAX, negative size":          pax(paxRecord("size", "-1")),
		"PAX, huge size":              pax(paxRecord("size", "9223372036854775807")),
		"PAX, long record":            pax("99999999 path=lie\n"),
		"PAX, record of 0":            pax("0 path=lie\n"),
		"PAX, negative record":        pax("-5 path=lie\n"),
		"PAX, no record":              pax("nonsense"),
		"PAX, NUL in a name":          pax(paxRecord("path", "li\x00e")),
		"PAX, empty name":             pax(paxRecord("path", "")),
		"PAX, no time":                pax(paxRecord("mtime", "soon")),
		"PAX, time beyond all":        pax(paxRecord("mtime", strings.Repeat("9", 23))),
		"PAX, huge xattr":             pax(paxRecord("SCHILY.xattr.user.x", strings.Repeat("x", 100<<10))),
		"PAX, many xattrs":            pax(manyXattrs(5000)),
		"PAX, of 2 MiB":               pax(paxRecord("comment", strings.Repeat("x", 2*mib))),
		"sparse beyond the end":       patched(patched(sparse, 386, "77777777777\x0077777777777\x00"), 483, "00000000100\x00"),
		"sparse, negative":            patched(patched(sparse, 386, binarySize(-1)+binarySize(10)), 483, "00000000100\x00"),
		"sparse, continued":           patched(patched(sparse, 482, "\x01"), 483, binarySize(1<<62)),
		"sparse 1.0 without a map":    pax(paxRecord("GNU.sparse.major", "1") + paxRecord("GNU.sparse.minor", "0") + paxRecord("GNU.sparse.name", "lie") + paxRecord("GNU.sparse.realsize", "1000000000000")),
		"sparse 0.1, nonsense":        pax(paxRecord("GNU.sparse.map", "0,1,-5,7,9223372036854775807,9223372036854775807") + paxRecord("GNU.sparse.size", "100")),
		"sparse 0.1, overlapping":     pax(paxRecord("GNU.sparse.map", "0,100,50,100") + paxRecord("GNU.sparse.size", "150")),
		"long name of 1 GiB":          patched(patched(file, 156, "L"), tarSize, binarySize(1<<30)),
		"empty name":                  patched(file, 0, "\x00\x00\x00"),
		"numbers of devices too long": patched(patched(file, 156, "3"), 329, "7777777\x007777777\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			if len(lie)%512 != 0 {
				t.Fatalf("%d bytes are no headers", len(lie))
			}
			content := slices.Concat(first, lie, last)
			files := map[string]string{"etc/os-release": osRelease, "last": "last\n"}
			h.check(t, gzipLayer(t, content), files, "lie", "pax")
			h.check(t, plainLayer(content), files, "lie", "pax")
		})
	}
}

// paxRecord is a record of a PAX header (POSIX, pax): it begins with its own
// length.
func paxRecord(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	n := len(rest)
	for len(fmt.Sprint(n))+len(rest) != n {
		n = len(fmt.Sprint(n)) + len(rest)
	}
	return fmt.Sprint(n) + rest
}

func manyXattrs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(paxRecord(fmt.Sprintf("SCHILY.xattr.user.%0100d", i), "x"))
	}
	return b.String()
}

// TestHostileEntries gives entries names and links that lead out of the
// directory, nowhere, or round and round.
func TestHostileEntries(t *testing.T) {
	t.Parallel()
	h := mountHostile(t, "--timeout", "10s")
	good := regular("etc/os-release", osRelease)
	deep := strings.Repeat("d/", 5000)
	for name, c := range map[string]struct {
		items   []item
		more    []string
		leftOut bool // the log says so
	}{
		"upward":                {[]item{regular("../evil", ""), regular("a/../../../evil", ""), regular("..", ""), directory("../"), regular("etc/../../../../evil", "")}, []string{"evil", "a"}, false},
		"absolute":              {[]item{regular("/evil", ""), directory("/"), regular("//etc//evil", "")}, []string{"evil", "etc/evil"}, false},
		"empty":                 {[]item{regular(".", ""), directory("./"), directory("./."), directory("///"), symlink(".", "x"), hardlink("/", "etc/os-release")}, nil, false},
		"too long":              {[]item{regular(strings.Repeat("n", 256), ""), regular("etc/"+strings.Repeat("n", 5000), "")}, nil, true},
		"links in a circle":     {[]item{symlink("a", "b"), symlink("b", "a"), regular("a/evil", ""), symlink("c", "c"), regular("c/c/c", ""), directory("c/d/")}, []string{"a", "a/evil", "b", "c", "c/c", "c/c/c", "c/d"}, false},
		"links upward":          {[]item{symlink("up", "../../../../../.."), regular("up/evil", ""), symlink("abs", "/"), regular("abs/evil2", "")}, []string{"up", "up/evil", "abs", "abs/evil2", "evil", "evil2"}, false},
		"hard links to nothing": {[]item{hardlink("a", "nothing"), hardlink("b", "../../etc/passwd"), hardlink("c", "/etc/passwd"), hardlink("d", "")}, []string{"a", "b", "c", "d"}, true},
		"hard links, a circle":  {[]item{hardlink("a", "b"), hardlink("b", "a"), hardlink("c", "c")}, []string{"a", "b", "c"}, true},
		"hard link, directory":  {[]item{hardlink("a", "etc"), hardlink("b", "."), hardlink("etc/c", "etc")}, []string{"a", "b", "etc/c"}, true},
		"whiteouts":             {[]item{regular(".wh.", ""), regular(".wh..", ""), regular(".wh...", ""), regular("etc/.wh..wh.x", ""), regular(".wh..wh..opq", ""), regular(".wh..wh.plnk", "")}, []string{".wh.plnk"}, false},
		"file with children":    {[]item{regular("etc/os-release", "file\n"), regular("f", ""), regular("f/g", ""), regular("f/g/h", "")}, []string{"f", "f/g", "f/g/h"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			items := append(slices.Clone(c.items), good)
			for _, l := range []layer{gzipLayer(t, tarOf(t, items...)), stargzLayer(t, nil, items...)} {
				h.check(t, l, filesOf([]item{good}), c.more...)
				if c.leftOut {
					h.logs(t, l.descriptor().Digest.Encoded(), "left out")
				}
			}
		})
	}
	t.Run("deep", func(t *testing.T) {
		l := gzipLayer(t, tarOf(t, regular(deep+"evil", ""), good))
		rootfs := h.path(h.addImage("deep", "v1", imageOf(t, l)), "rootfs")
		try(t, "find", rootfs, "-name", "evil") // ends
		if r := try(t, "cat", rootfs+"/etc/os-release"); r.code == 0 && r.stdout != osRelease {
			t.Errorf("etc/os-release holds %q", r.stdout)
		}
	})
}

// TestHostileDevices shows devices that nobody can open.
func TestHostileDevices(t *testing.T) {
	t.Parallel()
	h := mountHostile(t)
	device := func(kind byte, name string, major, minor int64) item {
		i := newItem(kind, name, "", "", 0o666)
		i.Devmajor, i.Devminor = major, minor
		return i
	}
	l := gzipLayer(t, tarOf(t, device(tar.TypeChar, "dev/null", 1, 3), device(tar.TypeBlock, "dev/sda", 8, 0), device(tar.TypeChar, "dev/mem", 1, 1)))
	rootfs := h.path(h.addImage("devices", "v1", imageOf(t, l)), "rootfs")
	for name, want := range map[string]string{
		"dev/null": "character special file 1:3", "dev/sda": "block special file 8:0", "dev/mem": "character special file 1:1",
	} {
		if got := deviceOf(t, rootfs+"/"+name); got != want {
			t.Errorf("%s is a %s, not a %s", name, got, want)
		}
		fails(t, noAccess, "head", "-c", "1", rootfs+"/"+name)
	}
}

// TestWrongDiffID has the config give the digest of another tar: nobody gets
// all of it, now or later.
func TestWrongDiffID(t *testing.T) {
	t.Parallel()
	h := mountHostile(t)
	items := bulkyOf(t, 10)
	content := tarOf(t, items...)
	for name, l := range map[string]layer{"gzip": gzipLayer(t, content), "zstd": zstdLayer(t, content)} {
		t.Run(name, func(t *testing.T) {
			l.diffID = digest.FromString("another tar")
			rootfs := h.path(h.addImage("wrong-"+name, "v1", imageOf(t, l)), "rootfs")
			for range 2 {
				if r := try(t, "sh", "-c", `tar -cf - -C "$0" . | wc -c`, rootfs); !strings.Contains(r.stderr, ioError) {
					t.Errorf("tar read %s bytes without an error\n%s", strings.TrimSpace(r.stdout), r.stderr)
				}
			}
			h.logs(t, l.descriptor().Digest.Encoded(), "ERROR")
			h.restart(t)
			if r := try(t, "cat", rootfs+"/usr/lib/lib09.so"); r.code == 0 {
				t.Error("after a restart its last file is read without an error")
			}
		})
	}
}

// TestHostileTOC makes tables of contents wrong. What is shown is right, by the
// tar if need be, or an error.
func TestHostileTOC(t *testing.T) {
	t.Parallel()
	items := []item{
		directory("etc/"), regular("etc/os-release", osRelease), regular("a", noise(t, 1, 300<<10)), regular("b", noise(t, 2, 300<<10)), regular("c", "c\n"),
	}
	h := mountHostile(t, "--timeout", "10s")
	other := digest.FromString("other").String()
	changes := map[string]func(*chunkedTOC){
		"other digest of a chunk": func(toc *chunkedTOC) { toc.entry("a").ChunkDigest, toc.entry("a").Digest = other, other },
		"no digest":               func(toc *chunkedTOC) { toc.entry("a").ChunkDigest, toc.entry("a").Digest = "", "" },
		"digest of no kind":       func(toc *chunkedTOC) { toc.entry("a").ChunkDigest, toc.entry("a").Digest = "md5:0", "nonsense" },
		"another file's place": func(toc *chunkedTOC) {
			a, b := toc.entry("a"), toc.entry("b")
			a.Offset, b.Offset, a.EndOffset, b.EndOffset = b.Offset, a.Offset, b.EndOffset, a.EndOffset
		},
		"beyond the end": func(toc *chunkedTOC) { toc.entry("b").Offset, toc.entry("b").EndOffset = 1<<40, 1<<41 },
		"negative place": func(toc *chunkedTOC) { toc.entry("b").Offset, toc.entry("b").EndOffset = -5, -1 },
		"in the middle":  func(toc *chunkedTOC) { toc.entry("a").Offset += 7 },
		"longer":         func(toc *chunkedTOC) { toc.entry("a").Size++ },
		"shorter":        func(toc *chunkedTOC) { toc.entry("a").Size-- },
		"negative size":  func(toc *chunkedTOC) { toc.entry("a").Size = -1 },
		"huge":           func(toc *chunkedTOC) { toc.entry("a").Size = 1 << 62 },
		"no time":        func(toc *chunkedTOC) { toc.entry("a").ModTime = "soon" },
		"a lost name":    func(toc *chunkedTOC) { toc.entry("a").Name = "lost-\ufffd" },
		"a name upward": func(toc *chunkedTOC) {
			toc.Entries = append(toc.Entries, &chunkedEntry{Name: "../../evil", Type: "reg"})
		},
		"unknown type": func(toc *chunkedTOC) { toc.Entries = append(toc.Entries, &chunkedEntry{Name: "evil", Type: "door"}) },
		"a chunk without": func(toc *chunkedTOC) {
			toc.Entries = append(toc.Entries, &chunkedEntry{Name: "evil", Type: "chunk", Offset: 9})
		},
		"a link to nothing": func(toc *chunkedTOC) {
			toc.Entries = append(toc.Entries, &chunkedEntry{Name: "evil", Type: "hardlink", LinkName: "no"})
		},
		"another version": func(toc *chunkedTOC) { toc.Version = 77 },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			for _, l := range []layer{
				stargzLayer(t, change, items...),
				zstdChunkedLayer(t, true, change, items...),
				zstdChunkedLayer(t, false, change, items...),
			} {
				found := h.check(t, l, filesOf(items), "evil")
				if name == "a lost name" && slices.Contains(found, "lost-\ufffd") {
					t.Error("the name that the table has lost is shown")
				}
			}
		})
	}
	for name, annotations := range map[string]map[string]string{
		"wrong digest of the table": {tocDigestAnnotation: other},
		"wrong place of the table":  {"io.containers.zstd-chunked.manifest-position": "1:2:3:1", "io.github.containers.zstd-chunked.manifest-position": "1:2:3:1"},
		"the table outside":         {"io.containers.zstd-chunked.manifest-position": "9223372036854775807:9223372036854775807:1:1"},
		"a huge table":              {"io.containers.zstd-chunked.manifest-position": "100:200:9223372036854775807:1"},
		"nonsense":                  {"io.containers.zstd-chunked.manifest-position": "-1:-1", tocDigestAnnotation: "md5:1"},
		"two formats": {
			"io.github.containers.zstd-chunked.manifest-position": "100:200:300:1",
			"io.github.containers.zstd-chunked.manifest-checksum": other, tocDigestAnnotation: other,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, l := range []layer{stargzLayer(t, nil, items...), zstdChunkedLayer(t, true, nil, items...), zstdChunkedLayer(t, false, nil, items...)} {
				l.annotations = maps.Clone(l.annotations)
				maps.Copy(l.annotations, annotations)
				l.blob = slices.Concat(l.blob[:0:0], l.blob)
				h.check(t, l, filesOf(items), "stargz.index.json")
			}
		})
	}
}
