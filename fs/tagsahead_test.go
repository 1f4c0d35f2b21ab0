package fs

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
)

// listTags has a repository's tags listed: v0 to the one before v<count>.
func listTags(a *tagsAhead, r *repository, count int) *tagListing {
	l := a.begin(r)
	for i := range count {
		a.add(l, []string{fmt.Sprintf("v%d", i)})
	}
	return l
}

func TestTagsAheadBounds(t *testing.T) {
	tr, _ := treeOn(t, "")
	a := &tr.ahead
	for i := range 2 * maxListings {
		listTags(a, newRepository(tr, &source{}, fmt.Sprintf("host/app%d", i), "host"), 10)
	}
	if len(a.listings) != maxListings || a.listed != 10*maxListings {
		t.Errorf("%d names of %d listings are kept", a.listed, len(a.listings))
	}

	r := newRepository(tr, &source{}, "host/app", "host")
	l := listTags(a, r, maxListed+500)
	if len(a.listings) != 1 || a.listed != maxListed || len(l.names) != maxListed {
		t.Errorf("of a long listing %d names are kept, of %d listings %d", len(l.names), len(a.listings), a.listed)
	}
	if l.find("v0") != 0 || l.find(fmt.Sprintf("v%d", maxListed)) != -1 {
		t.Error("of a long listing the first names aren't kept")
	}
	// Whoever has come that far looks for what follows.
	l.latest = maxListed - 1
	a.add(l, []string{"next"})
	if l.find("next") != 1 || a.listed != 2 || len(l.names) != 2 {
		t.Errorf("what follows isn't kept: %d names", len(l.names))
	}
	// The same repository's next listing takes its place.
	listTags(a, r, 3)
	a.add(l, []string{"late"})
	if len(a.listings) != 1 || a.listed != 3 {
		t.Errorf("%d names of %d listings are kept", a.listed, len(a.listings))
	}
}

func TestTagsAheadFailure(t *testing.T) {
	tr, end := treeOn(t, "")
	var log bytes.Buffer
	tr.log = slog.New(slog.NewTextHandler(&log, nil))
	d := digest.FromString("manifest")
	s := &source{tags: map[string]digest.Digest{"v0": d, "v1": d, "v2": d}} // and no v3
	r := newRepository(tr, s, "host/app", "host")
	l := listTags(&tr.ahead, r, 1000)
	for _, tag := range []string{"v0", "v1"} {
		tr.ahead.wants(r, tag)
		if _, err := r.resolve(t.Context(), tag); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "none is asked for any more", func() bool {
		tr.ahead.mu.Lock()
		defer tr.ahead.mu.Unlock()
		return l.asking == 0
	})
	end()
	asked := s.questions()
	if len(asked) > 2+aheadAtOnce+1 {
		t.Errorf("after a failure it goes on: %q", asked)
	}
	if !slices.Contains(asked, "resolve") {
		t.Errorf("v3 isn't asked for: %q", asked)
	}
	if log.Len() > 0 {
		t.Errorf("the log says %s", log.String())
	}
	if r.tree.tags.last.Contains(r.reference("v3")) {
		t.Error("a failure is remembered")
	}
}
