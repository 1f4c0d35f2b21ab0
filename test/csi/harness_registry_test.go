//go:build linux

package csi

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// serve is a fake registry, and its HOST:PORT.
func serve(t testing.TB) (fake *fakeregistry.Registry, host string) {
	t.Helper()
	fake = fakeregistry.New()
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, server.Listener.Addr().String()
}

// mustSay fails a test unless an error has some words.
func mustSay(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; it should say %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v: it doesn't say %q", err, w)
		}
	}
}

// push pushes an artifact with one file.
func push(fake *fakeregistry.Registry, repo, tag, file, content string) ocispec.Descriptor {
	layer := fake.AddBlob(repo, []byte(content))
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: file}
	return fake.AddArtifact(repo, tag, "application/vnd.example.model", nil, layer)
}

// noted are the volume and the target of a driver's note.
func noted(t testing.TB, text []byte) (id, target string) {
	t.Helper()
	var note struct{ ID, Target string }
	if err := json.Unmarshal(text, &note); err != nil {
		t.Fatal(err)
	}
	return note.ID, note.Target
}
