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
	next, shown := int64(firstShown), 0
	b.added = func(off int64) error {
		if off < next {
			return nil
		}
		next = off + off/shownShare
		spans := c.cutSoFar()
		if len(spans) == 0 {
			return nil
		}
		last := spans[len(spans)-1]
		soFar := *b
		soFar.spans = spans
		raw, err := soFar.finish(stream{layout: layoutSpans, size: last.stream + last.length})
		if err != nil {
			return err
		}
		x, err := loadIndex(raw)
		if err != nil {
			return err
		}
		shown++
		s.Passed(&Layer{source: s, index: x, identity: s.key("") + "~" + strconv.Itoa(shown), keep: s.key(""), partial: true})
		return nil
	}
}
