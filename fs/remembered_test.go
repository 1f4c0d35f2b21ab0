package fs

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
)

// TestDeniedTag has a tag that was resolved, and that the registry denied after that:
// in an outage it isn't there again, in the same mount or in the next.
func TestDeniedTag(t *testing.T) {
	dir := t.TempDir()
	d := digest.FromString("manifest")
	for _, denied := range []bool{false, true} {
		tr, end := treeOn(t, dir)
		s := &source{tags: map[string]digest.Digest{"v1": d, "v2": d}}
		r := newRepository(tr, s, "host/app", "host")
		resolve := func(tag string) error {
			_, err := r.resolve(t.Context(), tag)
			tr.tags.age(r.reference(tag), tr.tagTTL)
			return err
		}
		for tag := range s.tags {
			if err := resolve(tag); err != nil {
				t.Fatal(err)
			}
		}
		if denied {
			s.mu.Lock()
			delete(s.tags, "v1")
			s.mu.Unlock()
			if err := resolve("v1"); !missing(err) {
				t.Fatalf("a tag that was removed: %v", err)
			}
			until(t, "the denial is noted", func() bool { _, ok := tr.remembered.tags(t.Context(), r)["v1"]; return !ok })
		}
		check := func(when string) {
			t.Helper()
			for tag, there := range map[string]bool{"v1": !denied, "v2": true} {
				if err := resolve(tag); (err == nil) != there {
					t.Errorf("denied %t: %s of the outage, %s: %v", denied, when, tag, err)
				}
			}
		}
		s.mu.Lock()
		s.down = true
		s.mu.Unlock()
		check("in the mount")
		end()
		tr, _ = treeOn(t, dir)
		r = newRepository(tr, s, "host/app", "host")
		check("in the next mount")
	}
}

// A repository of which nothing is known but a denial isn't one that has given something.
func TestDenialGivesNothing(t *testing.T) {
	tr, _ := treeOn(t, t.TempDir())
	r := newRepository(tr, &source{}, "host/app", "host")
	tr.remembered.deny(r, "v1", errdef.ErrNotFound)
	of := func() map[string]notedTag { return tr.remembered.recall(t.Context(), "host", "host", anonymous) }
	until(t, "the registry has answered", func() bool { _, ok := of()[""]; return ok })
	if noted := of(); len(noted) != 1 {
		t.Errorf("what has given something: %v", noted)
	}
}
