package mount

import (
	"strings"
	"testing"
)

// TestHello reads back what oras pushed, by every way the tree has to it.
func TestHello(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	pushed := r.push(t, folder(t, hello), "hello-artifact:v1", "./artifact.txt")
	m := mountRegistry(t, r.host)

	if got := m.cat(t, "hello-artifact/_tags/v1/files/artifact.txt"); got != "hello world\n" {
		t.Errorf("the file holds %q", got)
	}
	if got, want := m.readlink(t, "hello-artifact/_tags/v1"), "../_manifests/sha256/"+hexOf(pushed); got != want {
		t.Errorf("the tag is a link to %q, not to %q", got, want)
	}
	if resolved := strings.TrimSpace(orasIn(t, "", "resolve", r.host+"/hello-artifact:v1")); resolved != pushed {
		t.Errorf("oras resolves the tag to %s, pushed was %s", resolved, pushed)
	}

	const v1 = "hello-artifact/_tags/v1/"
	if got, want := m.cat(t, v1+"manifest.json"), orasIn(t, "", "manifest", "fetch", r.host+"/hello-artifact:v1"); got != want {
		t.Errorf("manifest.json is\n%s, oras fetches\n%s", got, want)
	}
	if got, want := m.cat(t, v1+"config.json"), orasIn(t, "", "manifest", "fetch-config", r.host+"/hello-artifact:v1"); got != want || got != "{}" {
		t.Errorf("config.json is %q, oras fetches %q", got, want)
	}
	if got := m.cat(t, "hello-artifact/_blobs/sha256", hexOf(helloDigest)); got != "hello world\n" {
		t.Errorf("the blob holds %q", got)
	}
	if got := m.cat(t, v1+"layers/00-artifact.txt"); got != "hello world\n" {
		t.Errorf("the layer holds %q", got)
	}
	layer, file := m.stat(t, "%d:%i", v1+"layers/00-artifact.txt"), m.stat(t, "%d:%i", v1+"files/artifact.txt")
	if layer != file {
		t.Errorf("the layer is inode %s, the file %s", layer, file)
	}
}
