package fs

import (
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/resolver"
)

func TestSizeHint(t *testing.T) {
	tr, _ := treeOn(t, t.TempDir())
	d := digest.FromString("layer")
	s := &source{blobs: map[digest.Digest]int64{d: 3}}
	r := newRepository(tr, s, "host/app", "host")
	sized := func(what string, size int64, hint bool, asked ...string) {
		t.Helper()
		desc, hinted, err := r.blob(t.Context(), d)
		if err != nil || desc.Size != size || hinted != hint {
			t.Errorf("%s: %d bytes, hint %t, %v", what, desc.Size, hinted, err)
		}
		if got := s.questions(); !slices.Equal(got, asked) {
			t.Errorf("%s: the registry is asked %q, not %q", what, got, asked)
		}
	}
	sized("at first", 3, true, "blob")
	sized("within its time", 3, true)

	s.blobs[d] = 5
	r.doubt(unknownBlob(d, 4)) // of an inode that has had its day
	sized("after another size has failed", 3, true)
	r.doubt(unknownBlob(d, 3))
	sized("after a failure", 5, true, "blob")

	b, _ := r.blobs.Peek(d)
	b.told = time.Now().Add(-tr.tagTTL)
	r.blobs.Add(d, b)
	s.down = true
	sized("while the registry is down", 5, true, "blob")
	s.down = false
	r.doubt(unknownBlob(d, 5))
	delete(s.blobs, d)
	if _, _, err := r.blob(t.Context(), d); !missing(err) || r.knows(d) {
		t.Errorf("what the registry denies is known, %v", err)
	}
	s.questions()

	s.blobs[d] = 3
	sized("once more", 3, true, "blob")
	r.meet(&resolver.Manifest{Digest: digest.FromString("manifest"), Layers: []ocispec.Descriptor{unknownBlob(d, 5)}})
	sized("described by a manifest", 5, false)
	r.doubt(unknownBlob(d, 5))
	sized("after a failure that isn't the size's", 5, false)
	if b := r.meetBlob(metBlob{unknownBlob(d, 3), time.Now()}); b.Size != 5 {
		t.Error("a hint takes the place of what a manifest says")
	}
}
