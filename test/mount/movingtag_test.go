package mount

import (
	"strings"
	"testing"
)

// TestMovingTag moves a tag: it is seen after the tags' time to live, and who
// stands in the directory of the old manifest still sees that.
func TestMovingTag(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	before := r.push(t, folder(t, map[string]string{"which.txt": "before\n"}), "moving:v1", "which.txt")
	f := startFront(t, r.host)
	m := mountRegistry(t, f.host, "--tag-ttl", "1s")
	patient := mountRegistry(t, f.host, "--tag-ttl", "1h")

	const link = "moving/_tags/v1"
	for _, m := range []*mount{m, patient} {
		if got := m.readlink(t, link); !strings.HasSuffix(got, hexOf(before)) {
			t.Fatalf("the tag is a link to %s, not to %s", got, before)
		}
	}
	standing := shellIn(t, m.path(link))
	standing.does(t, "cat files/which.txt", "before")

	after := r.push(t, folder(t, map[string]string{"which.txt": "after\n"}), "moving:v1", "which.txt")
	if before == after {
		t.Fatal("the tag didn't move")
	}
	eventually(t, "the tag has moved", func() bool {
		return strings.HasSuffix(m.readlink(t, link), hexOf(after))
	})
	if got := m.cat(t, link, "files/which.txt"); got != "after\n" {
		t.Errorf("the tag shows %q", got)
	}
	if got := m.cat(t, "moving:v1/files/which.txt"); got != "after\n" {
		t.Errorf("the reference shows %q", got)
	}
	standing.does(t, "cat files/which.txt", "before")
	standing.does(t, "cat layers/00-which.txt", "before")

	f.forget()
	if got := patient.readlink(t, link); !strings.HasSuffix(got, hexOf(before)) {
		t.Errorf("before its time to live is over the tag is a link to %s, not to %s", got, before)
	}
	if asked := f.requests(""); len(asked) != 0 {
		t.Errorf("before its time to live is over the tag was asked for: %v", asked)
	}
}
