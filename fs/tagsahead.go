package fs

import (
	"slices"
	"sync"
	"time"
)

// Who lists the tags of a repository and looks at one after the other (ls -l,
// find -L) would wait a round trip for each. So once a second tag of a listing is
// asked for, those that follow in it are asked for ahead.
const (
	// maxAhead is how many tags are asked for beyond the one that is wanted, and
	// aheadAtOnce how many of them at the same time.
	maxAhead    = 32
	aheadAtOnce = 8
	// walkPause is the longest time between two tags of a walk. Where answers
	// don't hold for so long none is asked for ahead: it might be asked for twice.
	walkPause = 5 * time.Second
	// maxListings and maxListed bound what is kept of listings: the names of the
	// latest one of each of so many repositories, and so many of them in all.
	// The rest of a longer one is asked for as it is wanted.
	maxListings = 16
	maxListed   = 16_000
)

// tagsAhead are the latest listings of tags.
type tagsAhead struct {
	tree *tree

	mu       sync.Mutex    // guards what follows
	listings []*tagListing // the latest last
	listed   int           // names of all
}

// A tagListing is what was listed of a repository's tags, and who walks there.
// tagsAhead.mu guards it.
type tagListing struct {
	repo  *repository
	names []string // in the registry's order

	latest      int       // the place of the tag that was asked for last, -1 before
	at          time.Time // when that was
	next, until int       // the places that are to be asked for ahead
	asking      int       // how many are
}

// begin begins a listing of a repository's tags; it takes the place of the one
// before.
func (a *tagsAhead) begin(r *repository) *tagListing {
	l := &tagListing{repo: r, latest: -1}
	if r.local || a.tree.tagTTL < walkPause {
		return l // none is asked for ahead, and nothing kept
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, other := range a.listings {
		if other.repo.name == r.name {
			a.drop(i)
			break
		}
	}
	if len(a.listings) == maxListings {
		a.drop(0)
	}
	a.listings = append(a.listings, l)
	return l
}

// drop forgets a listing. a.mu is held.
func (a *tagsAhead) drop(i int) {
	l := a.listings[i]
	a.listed -= len(l.names)
	l.until = l.next
	a.listings = slices.Delete(a.listings, i, i+1)
}

// add adds a page to a listing.
func (a *tagsAhead) add(l *tagListing, tags []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.listings, l) {
		return
	}
	for a.listed+len(tags) > maxListed && a.listings[0] != l {
		a.drop(0)
	}
	if a.listed+len(tags) > maxListed && l.latest > 0 {
		// Whoever walks while he lists is past these.
		a.listed -= l.latest
		l.names = slices.Clone(l.names[l.latest:])
		l.next, l.until = max(0, l.next-l.latest), max(0, l.until-l.latest)
		l.latest = 0
	}
	tags = tags[:min(len(tags), max(0, maxListed-a.listed))]
	l.names = append(l.names, tags...)
	a.listed += len(tags)
}

// wants takes that somebody asks for a tag.
func (a *tagsAhead) wants(r *repository, tag string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.listings, func(l *tagListing) bool { return l.repo.name == r.name })
	if i < 0 {
		return
	}
	l := a.listings[i]
	place := l.find(tag)
	if place < 0 {
		return
	}
	now := time.Now()
	walks := l.latest >= 0 && now.Sub(l.at) < walkPause && place != l.latest
	l.latest, l.at = place, now
	if !walks || a.tree.outages.last(hostOf(r.name)) {
		return
	}
	if l.next <= place || l.next > place+1+maxAhead {
		l.next = place + 1
	}
	l.until = min(place+1+maxAhead, len(l.names))
	for l.asking < min(aheadAtOnce, l.until-l.next) {
		if !a.tree.run(func() error { a.ask(l); return nil }, func(error) { a.done(l) }) {
			return
		}
		l.asking++
	}
}

// done is told that one of those who ask has ended.
func (a *tagsAhead) done(l *tagListing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l.asking--
}

// find is the place of a tag, -1 where it isn't in the listing. The next is looked
// at first.
func (l *tagListing) find(tag string) int {
	from := min(l.latest+1, len(l.names))
	if i := slices.Index(l.names[from:], tag); i >= 0 {
		return from + i
	}
	return slices.Index(l.names[:from], tag)
}

// ask asks for one tag after the other, until none is left or one fails: why is
// told to whoever asks for that one.
func (a *tagsAhead) ask(l *tagListing) {
	ctx := a.tree.ctx
	for tag, ok := a.take(l); ok; tag, ok = a.take(l) {
		if _, err := l.repo.resolve(ctx, tag); err != nil || a.tree.outages.last(hostOf(l.repo.name)) {
			a.mu.Lock()
			l.until = l.next
			a.mu.Unlock()
		}
	}
}

// take is the next tag that is to be asked for; false is that there is none.
func (a *tagsAhead) take(l *tagListing) (tag string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.next >= l.until {
		return "", false
	}
	tag = l.names[l.next]
	l.next++
	return tag, true
}
