package kubernetes

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// Pods that read one artifact at once have each byte fetched once, for all of them,
// although those that want other mount options are served by another process.
func TestPodsShareWhatIsFetched(t *testing.T) {
	const size = 32 << 20
	registry := fakeregistry.New()
	blob := registry.AddGenerated("models/large", 1, size)
	blob.Annotations = map[string]string{"org.opencontainers.image.title": "weights.bin"}
	registry.AddArtifact("models/large", "v1", "application/vnd.example.model.v1", nil, blob)
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")

	var pods []pod
	for i, options := range []string{"", "", "noexec", "noexec"} {
		p := pod{
			name:   fmt.Sprint("shared-", i),
			volume: inline(fmt.Sprintf("reference: %q, mountOptions: %q", host+"/models/large:v1", options)),
			script: "sha256sum /data/weights.bin" + stay,
		}
		p.create(t)
		pods = append(pods, p)
	}
	for _, p := range pods {
		p.says(t, blob.Digest.Encoded())
	}
	var fetched int64
	requests := registry.Matching("GET", "/blobs/"+blob.Digest.String())
	for _, request := range requests {
		fetched += request.Bytes
	}
	processes := serving(t)
	t.Logf("%d pods read %d bytes each, of %d processes: %d requests for %d bytes", len(pods), size, len(processes), len(requests), fetched)
	if len(processes) != 2 {
		t.Errorf("%d processes serve the pods: %q", len(processes), processes)
	}
	if fetched != size {
		t.Errorf("%d bytes were fetched of a file of %d", fetched, size)
	}
	for _, p := range pods {
		p.delete(t)
	}
	leavesNothing(t)
}
