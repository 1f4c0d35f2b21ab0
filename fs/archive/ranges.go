package archive

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
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

// bringAtOnce is how many parts of ranges are read at the same time, and bringMemory what
// those take that are unpacked to be compared, or one alone, in bytes. bringStep is how
// much is read at once of what has no digests of its own.
const (
	bringAtOnce = 8
	bringMemory = 16 << 20
	bringStep   = 1 << 20
)

// Bring reads what is in ranges, as [Layer.Ranges] gave them, and tells came how many
// bytes were read: several goroutines at once. What has digests is compared with them;
// the bytes of a plain tar are as good as its blob is.
func (l *Layer) Bring(ctx context.Context, ranges []Range, came func(int64)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(bringAtOnce)
	bring := func(n int64, read func() error) {
		group.Go(func() (err error) {
			defer recovered(&err)
			if err := read(); err != nil {
				return err
			}
			came(n)
			return nil
		})
	}
	source := *l.source
	if b, ok := source.Blob.(ExactBlob); ok {
		source.Blob = exactBlob{b}
	}
	if l.index.layout == layoutSpans {
		l.bringSpans(ctx, &source, ranges, bring)
		return group.Wait()
	}
	for _, r := range ranges {
		for off := r.Offset; off < r.Offset+r.Length; off += bringStep {
			n := min(bringStep, r.Offset+r.Length-off)
			bring(n, func() error { return readFull(ctx, source.Blob, make([]byte, n), off) })
		}
	}
	return group.Wait()
}

// bringSpans has the spans in ranges unpacked. What comes of them isn't kept in memory:
// who asks for it wants it on disk.
func (l *Layer) bringSpans(ctx context.Context, source *Source, ranges []Range, bring func(n int64, read func() error)) {
	room := semaphore.NewWeighted(bringMemory)
	for i := range l.index.spanCount() {
		s := l.index.span(i)
		if s.codec == codecZero || !within(ranges, s) {
			continue
		}
		bring(s.packed, func() error {
			size := min(s.packed+s.length, bringMemory)
			if err := room.Acquire(ctx, size); err != nil {
				return err
			}
			defer room.Release(size)
			_, err := source.inflate(ctx, s)
			return err
		})
	}
}

// An exactBlob reads no more than what is asked for. What it reads nobody gets.
type exactBlob struct{ ExactBlob }

func (b exactBlob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return b.ReadExact(ctx, p, off)
}

func (b exactBlob) ReadChecked(ctx context.Context, p []byte, off int64) (int, error) {
	return b.ReadExact(ctx, p, off)
}

// within tells whether one of some ranges has all of a span. Two spans may share a byte.
func within(ranges []Range, s span) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Offset+ranges[i].Length >= s.blob+s.packed })
	return i < len(ranges) && ranges[i].Offset <= s.blob
}

// recovered makes a panic an error.
func recovered(err *error) {
	if what := recover(); what != nil {
		*err = fmt.Errorf("panic: %v", what)
	}
}
