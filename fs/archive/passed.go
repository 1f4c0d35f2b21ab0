package archive

// What a pass has come by is shown each time the stream is longer by a share,
// and at first by firstShown, in bytes: a tree takes time in proportion to its
// entries, and so all of them together take some times as long as the last.
const (
	firstShown = 4 << 20
	shownShare = 3 // a third longer
)

// showPassed has the source be told of what the pass of b and c has come by.
// What comes after a file that the spans don't hold is left out.
func showPassed(s *Source, b *builder, c *spanCutter) {
	if s.Passed == nil {
		return
	}
	next, end := int64(firstShown), int64(0)
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
		if last.stream+last.length == end {
			return nil // no more than last time
		}
		end = last.stream + last.length
		p := s.passing
		l := &Layer{source: p.partial(), index: b.soFar(spans), identity: s.key(""), keep: p.key, partial: true}
		l.full.Store(l.index)
		s.Passed(l)
		return nil
	}
}

// Reached is how far the pass has come of which the layer is a part, in entries and in
// bytes of the layer; zeros where the layer is whole.
func (l *Layer) Reached() (entries int, bytes int64) {
	full := l.full.Load()
	if !l.partial || full == nil || len(full.passing) == 0 {
		return 0, 0
	}
	last := full.passing[len(full.passing)-1]
	return full.entries.len(), last.blob + last.packed
}
