package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/cache"
)

// treeOn is a tree on a cache directory, and what ends both.
func treeOn(t *testing.T, dir string) (tr *tree, end func()) {
	t.Helper()
	return treeWith(t, dir, Options{})
}

// treeWith is treeOn with options.
func treeWith(t *testing.T, dir string, o Options) (tr *tree, end func()) {
	t.Helper()
	c, err := cache.Open(cache.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	o.Cache = c
	o.setDefaults()
	tr = newTree(t.Context(), o)
	end = sync.OnceFunc(func() {
		tr.close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return tr, end
}

func TestKnown(t *testing.T) {
	tr, _ := treeOn(t, t.TempDir())
	other, right := &source{}, &source{}
	a := newRepository(tr, other, "host/other", "host")
	layer := digest.FromString("layer")
	subject := other.add(`,"annotations":{"is":"the subject"}`)
	d := other.add(fmt.Sprintf(`,"layers":[{"mediaType":"text/plain","digest":%q,"size":5}],"subject":{"mediaType":"x","digest":%q,"size":5}`, layer, subject))
	index := other.addIndex(d)
	right.manifests = other.manifests

	get := func(r *repository, d digest.Digest) error {
		_, err := r.artifact(t.Context(), d)
		return err
	}
	for _, d := range []digest.Digest{d, subject} {
		if err := get(a, d); err != nil {
			t.Fatal(err)
		}
	}
	if got := other.questions(); !slices.Equal(got, []string{"manifest", "manifest"}) {
		t.Errorf("manifests that nobody has: %q, where fetching each is enough", got)
	}

	none := &source{}
	b := newRepository(tr, none, "host/none", "host")
	for range 2 {
		if err := get(b, d); !missing(err) {
			t.Errorf("a manifest that another repository has: %v", err)
		}
	}
	if got := none.questions(); !slices.Equal(got, []string{"resolve", "resolve"}) {
		t.Errorf("the registry is asked %q", got)
	}

	c := newRepository(tr, right, "host/right", "host")
	if err := get(c, index); err != nil {
		t.Fatal(err)
	}
	if got := right.questions(); !slices.Equal(got, []string{"manifest"}) {
		t.Errorf("an index that nobody has: %q", got)
	}
	if err := get(c, d); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.blob(t.Context(), layer); err != nil {
		t.Fatal(err)
	}
	if got := right.questions(); len(got) != 0 {
		t.Errorf("what an index and its manifest list: %q", got)
	}
	for range 2 {
		if err := get(c, subject); err != nil {
			t.Fatal(err)
		}
	}
	if got := right.questions(); !slices.Equal(got, []string{"resolve"}) {
		t.Errorf("a subject is only claimed: %q, not one question", got)
	}
}

func TestKnownBefore(t *testing.T) {
	dir := t.TempDir()
	shown := &source{credential: "secret", content: "{}"}
	d := shown.add("")
	config := digest.FromString("{}")
	tr, end := treeOn(t, dir)
	r := newRepository(tr, shown, "host/app", "host")
	r.credential = shown.Credential
	a, err := r.artifact(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	// The config is read, and asked for by its digest.
	if _, err := r.small(t.Context(), *a.Config); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.blob(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	end()

	for name, c := range map[string]struct {
		name, origin, credential string
		there                    bool
	}{
		"the same":           {"host/app", "host", "secret", true},
		"another credential": {"host/app", "host", "secret2", false},
		"no credential":      {"host/app", "host", "", false},
		"another repository": {"host/app2", "host", "secret", false},
		"another registry":   {"host2/app", "host2", "secret", false},
	} {
		t.Run(name, func(t *testing.T) {
			tr, _ := treeOn(t, dir)
			down := &source{credential: c.credential, down: true}
			asking := func(s *source) *repository {
				r := newRepository(tr, s, c.name, c.origin)
				r.credential = s.Credential
				return r
			}
			r := asking(down)
			_, err := r.artifact(t.Context(), d)
			if there := err == nil; there != c.there || !there && !unreachable(err) {
				t.Errorf("the manifest: %v", err)
			}
			r = asking(down) // has met nothing
			desc, _, err := r.blob(t.Context(), config)
			if there := err == nil; there != c.there || there && desc.Size != 2 || !there && !unreachable(err) {
				t.Errorf("the blob: %v, %v", desc, err)
			}
			asked := []string{"resolve", "blob"}
			if c.there {
				asked = nil // what was shown isn't asked for again
			}
			if got := down.questions(); !slices.Equal(got, asked) {
				t.Errorf("the registry is asked %q", got)
			}
		})
	}
}

// TestKnownAtOnce has two repositories asked for a manifest at the same time,
// which one of them has: the other's answer isn't taken for it.
func TestKnownAtOnce(t *testing.T) {
	for _, firstHas := range []bool{true, false} {
		tr, _ := treeOn(t, t.TempDir())
		has, none := &source{}, &source{}
		d := has.add("")
		first, second := has, none
		if !firstHas {
			first, second = none, has
		}
		first.wait = make(chan struct{})
		a, b := newRepository(tr, first, "host/first", "host"), newRepository(tr, second, "host/second", "host")
		errs := make(chan error, 2)
		go func() {
			_, err := a.artifact(t.Context(), d)
			errs <- err
		}()
		until(t, "the first is asked", func() bool { return first.busy() })
		go func() {
			_, err := b.artifact(t.Context(), d)
			errs <- err
		}()
		time.Sleep(50 * time.Millisecond) // longer is as good
		close(first.wait)
		ok, failed := 0, 0
		for range 2 {
			switch err := <-errs; {
			case err == nil:
				ok++
			case missing(err):
				failed++
			default:
				t.Error(err)
			}
		}
		if ok != 1 || failed != 1 {
			t.Errorf("the first has it: %t; %d of two show it, %d don't", firstHas, ok, failed)
		}
	}
}

// TestEvidenceKey has a mount go on for so long that the key is evicted: what it noted
// before and after that is there for the next mount.
func TestEvidenceKey(t *testing.T) {
	dir := t.TempDir()
	s := &source{tags: map[string]digest.Digest{}}
	first, second := s.add(""), s.add(`,"annotations":{"is":"the second"}`)
	key := filepath.Join(dir, "v2", "indexes", keyName)
	for i, d := range []digest.Digest{first, second} {
		tag := fmt.Sprint("v", i)
		s.tags[tag] = d
	}
	tr, end := treeOn(t, dir)
	r := newRepository(tr, s, "host/app", "host")
	if _, err := r.artifact(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	until(t, "the first is noted", func() bool { return tr.evidence.has(t.Context(), r, first) })
	for _, note := range []func() error{
		func() error { _, err := r.artifact(t.Context(), second); return err },
		func() error { _, err := r.resolve(t.Context(), "v1"); return err },
	} {
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		if err := note(); err != nil {
			t.Fatal(err)
		}
		until(t, "the key is there again", func() bool { _, err := os.Stat(key); return err == nil })
	}
	end()
	tr, _ = treeOn(t, dir)
	r = newRepository(tr, s, "host/app", "host")
	for _, d := range []digest.Digest{first, second} {
		if !tr.evidence.has(t.Context(), r, d) {
			t.Errorf("%s isn't known any more", d)
		}
	}
	if _, ok := tr.remembered.tags(t.Context(), r)["v1"]; !ok {
		t.Error("the tag isn't known any more")
	}
}
