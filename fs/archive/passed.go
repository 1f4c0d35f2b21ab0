package archive

import "strconv"

// What a pass has come by is shown each time the stream is longer by a share,
// and at first by firstShown, in bytes: making a tree takes time in proportion to
// its entries, so that all of them together cost some entries' worth of the
// last.
const (
	firstShown = 4 << 20
	shownShare = 3 // a third longer
)

// showPassed has the source be told of what the pass of b and c has come by.
// Files that the last whole span doesn't hold are left out.
func showPassed(s *Source, b *builder, c *spanCutter) {
	if s.Passed == nil {
		return
	}
	next, shown, end := int64(firstShown), 0, int64(0)
	b.added = func(off int64) error {
		if off < next {
			return nil
		}
		next = off + off/shownShare
		// An index of the entries and the spans that there are by now, made as the
		// one of all will be. The builder goes on with its own spans, which it is
		// given in the end.
		soFar := *b
		soFar.spans = c.cutSoFar()
		if len(soFar.spans) == 0 {
			return nil
		}
		last := soFar.spans[len(soFar.spans)-1]
		if last.stream+last.length == end {
			return nil // no more than last time
		}
		end = last.stream + last.length
		raw, err := soFar.finish(stream{layout: layoutSpans, size: end})
		if err != nil {
			return err
		}
		x, err := loadIndex(raw)
		if err != nil {
			return err
		}
		shown++
		p := s.passing
		s.Passed(&Layer{source: p.partial(), index: x, identity: p.key + "~" + strconv.Itoa(shown), keep: p.key, partial: true})
		return nil
	}
}
