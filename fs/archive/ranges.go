package archive

import (
	"cmp"
	"slices"
)

// A Range is bytes of a blob.
type Range struct{ Offset, Length int64 }

// Ranges are what has to be read of the layer's blob for the contents of files, which
// are nodes of one tree and all the layer's, in order and none twice. Where one byte of
// them takes all of the blob that is all of it.
func (l *Layer) Ranges(files []Node) []Range {
	if l.index.layout == layoutDerived && len(files) > 0 {
		return []Range{{0, l.source.Size}}
	}
	var all []Range
	for _, n := range files {
		i := n.inode()
		first, count := int(i.u32(36)), int(i.u32(40))
		if count == 0 {
			all = l.appendRanges(all, int64(i.u64(44)), int64(i.u64(16))) //nolint:gosec // checked
			continue
		}
		for k := first; k < first+count; k++ {
			e := extentOf(n.tree.extents.at(k))
			all = l.appendRanges(all, e.stream, e.length)
		}
	}
	return joined(all)
}

// appendRanges appends where length bytes of the stream are that begin at off.
func (l *Layer) appendRanges(all []Range, off, length int64) []Range {
	if length <= 0 || off+length > l.index.size {
		return all // who reads it is told what is wrong
	}
	if l.index.layout == layoutPlain {
		return append(all, Range{off, length})
	}
	for i := l.index.spanAt(off); i < l.index.spanCount(); i++ {
		s := l.index.span(i)
		if s.stream >= off+length {
			break
		}
		if s.codec != codecZero {
			all = append(all, Range{s.blob, s.packed})
		}
	}
	return all
}

// joined sorts ranges, and makes one of those that meet.
func joined(all []Range) []Range {
	slices.SortFunc(all, func(a, b Range) int { return cmp.Compare(a.Offset, b.Offset) })
	var joined []Range
	for _, r := range all {
		if last := len(joined) - 1; last >= 0 && r.Offset <= joined[last].Offset+joined[last].Length {
			joined[last].Length = max(joined[last].Length, r.Offset+r.Length-joined[last].Offset)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}
