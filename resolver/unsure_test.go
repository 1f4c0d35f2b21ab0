package resolver

import (
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// What a part costs is unsure of a mirror, and of a host that has sent a whole blob.
func TestUnsure(t *testing.T) {
	m := newMirrored(t)
	isUnsure := func(r *Repository) bool {
		t.Helper()
		b, ok := r.Blob(m.blob).(*Blob)
		if !ok {
			t.Fatal("it is another client")
		}
		return b.Unsure()
	}
	plain := m.connect(t, Options{})
	if isUnsure(plain) {
		t.Error("a registry is unsure before it has sent anything")
	}
	m.checkBlob(t, plain)
	if isUnsure(plain) {
		t.Error("a registry is unsure that serves ranges")
	}
	m.registry.Inject(fakeregistry.Fault{IgnoreRange: true})
	m.checkBlob(t, plain)
	if !isUnsure(plain) {
		t.Error("a registry is sure that doesn't serve ranges")
	}
	m.say(t, "[host.\"http://%s\"]\n")
	mirrored := m.connect(t, Options{})
	if !isUnsure(mirrored) {
		t.Error("a mirror is sure")
	}
	m.mirror.Inject(fakeregistry.Fault{Status: 404})
	m.checkBlob(t, mirrored)
	if mirrored.registry.mirrors.ways[1].sendsWhole.Store(false); isUnsure(mirrored) {
		t.Error("the registry behind a mirror that hasn't the blob is unsure")
	}
}
