package kubernetes

import (
	"net/http/httptest"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A password is changed, in the registry and then in the secret. Pods that run go on
// with the new one, and nobody has to start them anew.
func TestASecretIsRenewedWhileAPodRuns(t *testing.T) {
	fake := fakeregistry.New()
	var layers []ocispec.Descriptor
	for _, name := range []string{"first", "second"} {
		layer := fake.AddBlob("private/model", []byte("the "+name+" file\n"))
		layer.Annotations = map[string]string{ocispec.AnnotationTitle: name}
		layers = append(layers, layer)
	}
	fake.AddArtifact("private/model", "v1", "application/vnd.example.model.v1", nil, layers...)
	fake.RequireBasic(username, "before")
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	r := registry{strings.TrimPrefix(server.URL, "http://")}

	applySecret(t, r, "renewed", "before")
	p := pod{
		name:   "renewed",
		volume: closed(r.host+"/private/model:v1", "renewed"),
		// The second file isn't read before the test says so.
		script: `trap exit TERM
			cat /data/first
			until [ -e /tmp/go ]; do sleep 1; done
			until cat /data/second; do sleep 1; done 2>&1` + stay,
	}
	p.run(t)
	p.says(t, "the first file\n")
	fake.RequireBasic(username, "after")
	see(t, "exec", p.name, "--", "sh", "-c", "mkdir -p /tmp && >/tmp/go")
	p.says(t, "Permission denied")
	applySecret(t, r, "renewed", "after")
	p.says(t, "the second file\n")
	show(t, "logs", p.name)
	p.delete(t)
	leavesNothing(t)
}
