package archive

import (
	"context"
	"sync"
)

// inSequence is how many spans in a row make it likely that the next one is
// wanted too. A look at one file, which may lie in two spans, takes no more.
const inSequence = 3

// A spanAhead notices that spans are read in sequence, whoever reads them and
// whatever the files are called, and has the next one inflated beside that.
type spanAhead struct {
	mu   sync.Mutex // guards what follows
	last int        // the span that was read last
	run  int        // how many in a row that makes
}

// passed is told that span i of l was read.
func (a *spanAhead) passed(l *Layer, i int) {
	a.mu.Lock()
	fresh := i != a.last || a.run == 0
	switch {
	case fresh && i == a.last+1:
		a.run++
	case fresh:
		a.run = 1
	}
	a.last = i
	begin := fresh && a.run >= inSequence && i+1 < l.index.spans.len()
	a.mu.Unlock()
	if !begin {
		return
	}
	if next := l.index.span(i + 1); next.codec != codecZero {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		// It is only begun: what comes of it shows when it is asked for.
		_, _ = l.spanData(ctx, i+1, next)
	}
}
