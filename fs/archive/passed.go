package archive

// showPassed has the source be told of what the pass of b and c has come by, when the
// entries of a further span have been found: those come later than the span does. What
// comes after a file that the spans don't hold is left out.
func showPassed(s *Source, b *builder, c *spanCutter) {
	if s.Passed == nil {
		return
	}
	shown, entries := 0, 0
	b.added = func(upTo int64) {
		spans := c.cutSoFar()
		n := shown
		for n < len(spans) && spans[n].stream+spans[n].length <= upTo {
			n++
		}
		if n == shown {
			return
		}
		shown, spans = n, spans[:n:n]
		x, n := b.soFar(spans, entries)
		if n == entries {
			return // they hold a part of one file
		}
		entries = n
		p := s.passing
		l := &Layer{source: p.partial(), index: x, identity: s.key(""), keep: p.key, partial: true}
		l.full.Store(x)
		s.Passed(l)
	}
}

// shownShare is by which share a layer has to have grown, in entries, to be worth
// another tree whatever is looked for: a tree takes time in proportion to its entries,
// and so all of them together take some times as long as the last.
const shownShare = 3 // a third

// ShowsMore tells whether a tree of what a pass has come by may give an answer about
// path which one of what it had come by before, since, couldn't: there is much more of
// it, or the entry of path is new. One that is made through a link shows by and by.
func (l *Layer) ShowsMore(since *Layer, path string) bool {
	if l == since {
		return false
	}
	if !l.partial || !since.partial || l.keep != since.keep {
		return true
	}
	x, from := l.index, since.index.entries.len()
	if x.entries.len() >= from+from/shownShare {
		return true
	}
	inDir, called := cutLast(path)
	for i := from; i < x.entries.len(); i++ {
		if dir, name := x.name(x.entries.at(i)); name == called && dir == inDir {
			return true
		}
	}
	return false
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
