package fs

import "testing"

// What attributes need of a manifest doesn't hold all that was made of it: a kernel
// remembers more directories than artifacts are remembered.
func TestMomentHoldsNoArtifact(t *testing.T) {
	tr, _ := treeOn(t, "")
	s := &source{}
	p := manifestPart{node: node{tree: tr}, repo: newRepository(tr, s, "app", ""), digest: s.add(""), time: &moment{}}
	a, errno := p.artifact(t.Context())
	if errno != 0 {
		t.Fatal(errno)
	}
	if got, known := p.time.get(); !known || !got.Equal(a.Created) {
		t.Errorf("the time is %v, %v", got, known)
	}
	if p.time.known.Load() == &a.Created {
		t.Error("it points into the artifact")
	}
}
