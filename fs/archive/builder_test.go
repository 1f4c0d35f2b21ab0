package archive

import "testing"

// recorded are the entries that a builder was given, by their paths; of two of
// one path the last.
func recorded(t testing.TB, b *builder) map[string]entry {
	t.Helper()
	x := &index{
		layout: layoutSpans, size: 1 << 62, entries: table{string(b.entries), entrySize},
		extents: table{string(b.extents), extentSize}, heap: heap(b.heap.bytes), spans: table{size: spanSize},
	}
	files := map[string]entry{}
	for i := range x.entries.len() {
		if err := x.checkEntry(i); err != nil {
			t.Fatal(err)
		}
		r := x.entries.at(i)
		e := entry{
			typ: Type(r.u32(0) & typeMask), mode: r.u32(0) & modeMask, uid: r.u32(4), gid: r.u32(8), size: int64(r.u64(24)),
			mtime: mtime{int64(r.u64(32)), r.u32(40)},
		}
		e.xattrs, _ = unpackXattrs(x.heap.at(r.u32(60), r.u32(64)))
		switch e.typ {
		case TypeSymlink, typeHardlink:
			e.link, e.size = x.target(r), 0
		case TypeChar, TypeBlock:
			e.major, e.minor = r.u32(44), r.u32(48)
		case TypeRegular:
			e.extents = whole(int64(r.u64(52)), e.size)
			if count := int(r.u32(48)); count > 0 {
				e.extents = nil
				for k := range count {
					e.extents = append(e.extents, extentOf(x.extents.at(int(r.u32(44))+k)))
				}
			}
		}
		dir, name := x.name(r)
		files[join(dir, name)] = e
	}
	return files
}
