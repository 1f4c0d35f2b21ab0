package mount

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// freeAddress is one on which nobody listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// get is what a daemon answers over HTTP.
func get(t testing.TB, address, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + address + path) //nolint:noctx // a daemon of this test answers or ends
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

// A scrape is what Prometheus has of a daemon.
type scrape map[string]*dto.MetricFamily

func scrapeOf(t testing.TB, address string) (scrape, string) {
	t.Helper()
	status, text := get(t, address, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics answers %d\n%s", status, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return families, text
}

// sum adds up what has those labels, given as pairs: values, or a histogram's counts.
func (s scrape) sum(name string, labels ...string) (sum float64) {
	for _, metric := range s[name].GetMetric() {
		has := make(map[string]string)
		for _, l := range metric.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		fits := true
		for i := 0; i < len(labels); i += 2 {
			fits = fits && has[labels[i]] == labels[i+1]
		}
		if fits {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// TestMetrics scrapes a daemon after some reads: each number is what the registry, or
// the reader, knows better.
func TestMetrics(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	wrong := digest.FromString("right")
	f.AddWrongBlob("app", wrong, []byte("wrong"))
	address := freeAddress(t)
	m := mountRegistry(t, f.host, "--metrics-addr", address)
	f.Inject(fakeregistry.Fault{Path: "/blobs/", Status: http.StatusServiceUnavailable, Times: 1})
	output(t, "cat", m.path(contentPath("app")))
	fails(t, ioError, "cat", m.path("app/_blobs", "sha256", wrong.Encoded()))
	s, text := scrapeOf(t, address)

	for kind, path := range map[string]string{"blob": "/blobs/", "manifest": "/manifests/"} {
		if got, want := s.sum("orasfs_registry_request_duration_seconds", "host", f.host, "kind", kind), f.Count("", path); got != float64(want) || want == 0 {
			t.Errorf("%f requests for a %s are counted, %d were made", got, kind, want)
		}
	}
	for _, want := range []struct {
		name   string
		labels []string
		least  float64
		most   float64
	}{
		{"orasfs_registry_request_duration_seconds", []string{"kind", "blob", "code", "503"}, 1, 1},
		{"orasfs_registry_retries_total", []string{"reason", "unavailable"}, 1, 1},
		{"orasfs_registry_received_bytes_total", []string{"host", f.host}, small, 2 * small},
		{"orasfs_registry_hosts_down", nil, 0, 0},
		{"orasfs_fuse_read_bytes_total", nil, small, 2 * small},
		{"orasfs_fuse_request_duration_seconds", []string{"op", "open"}, 2, 2},
		{"orasfs_fuse_request_duration_seconds", []string{"op", "read"}, 2, small},
		{"orasfs_fuse_request_duration_seconds", []string{"op", "lookup"}, 5, 50},
		{"orasfs_cache_misses_total", nil, 3, 20},
		{"orasfs_cache_bytes", []string{"tier", "memory"}, small, 2 * small},
		{"orasfs_cache_bytes", []string{"tier", "disk"}, 1, 2 * small},
		{"orasfs_cache_evicted_bytes_total", nil, 0, 0},
		{"orasfs_verify_failures_total", nil, 1, 10},
		{"orasfs_build_info", nil, 1, 1},
	} {
		if s[want.name] == nil {
			t.Errorf("there is no %s", want.name)
		}
		if got := s.sum(want.name, want.labels...); got < want.least || got > want.most {
			t.Errorf("%s %v is %f, and not %f to %f", want.name, want.labels, got, want.least, want.most)
		}
	}

	// What is read again comes from memory.
	dropCache(t, m.path(contentPath("app")))
	output(t, "cat", m.path(contentPath("app")))
	again, _ := scrapeOf(t, address)
	const hits = "orasfs_cache_hits_total"
	if again.sum(hits, "tier", "memory") <= s.sum(hits, "tier", "memory") || again.sum("orasfs_cache_misses_total") != s.sum("orasfs_cache_misses_total") {
		t.Errorf("read again: %f hits in memory after %f", again.sum(hits, "tier", "memory"), s.sum(hits, "tier", "memory"))
	}

	check := exec.Command(tool(t, "promtool"), "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if r := finish(t, check); r.code != 0 || r.stdout+r.stderr != "" {
		t.Errorf("promtool: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if strings.Contains(text, "sha256") || strings.Contains(text, "app") {
		t.Errorf("a metric tells what content there is:\n%s", text)
	}
	checkDashboard(t, s)
}

// checkDashboard holds the metrics that the dashboard shows against those there are.
func checkDashboard(t *testing.T, s scrape) {
	t.Helper()
	dashboard, err := os.ReadFile(filepath.Join("..", "..", "scripts", "packaging", "grafana-dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, name := range regexp.MustCompile(`\borasfs_[a-z_]+`).FindAllString(string(dashboard), -1) {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		shown[name] = true
		if s[name] == nil {
			t.Errorf("the dashboard shows %s, which there isn't", name)
		}
	}
	for name := range s {
		if strings.HasPrefix(name, "orasfs_") && !shown[name] {
			t.Errorf("the dashboard doesn't show %s", name)
		}
	}
}

// TestMetricsAddressTaken doesn't mount where somebody else listens.
func TestMetricsAddressTaken(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	m := prepare(t, f.host, "--metrics-addr", f.host)
	if r := finish(t, m.command()); r.code != 1 || !strings.Contains(r.stderr, "--metrics-addr "+f.host) || !strings.Contains(r.stderr, "address already in use") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestProfiles are served where they are asked for, and nowhere else.
func TestProfiles(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	with, without := freeAddress(t), freeAddress(t)
	mountRegistry(t, f.host, "--metrics-addr", with, "--pprof")
	mountRegistry(t, f.host, "--metrics-addr", without)
	if status, body := get(t, with, "/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d\n%s", status, clip(body))
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/profile", "/status", "/"} {
		if status, _ := get(t, without, path); status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, status)
		}
	}
}

// TestHealth asks whether a mount answers: while it does, and while something else is in
// its place.
func TestHealth(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := serveFake(t)
	address := freeAddress(t)
	m := mountRegistry(t, f.host, "--metrics-addr", address)
	healthy := func(when string) {
		t.Helper()
		if status, body := get(t, address, "/healthz"); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: %d %s", when, status, body)
		}
		if n := len(m.daemons(t)); n != 1 {
			t.Errorf("%s: %d processes", when, n)
		}
	}
	healthy("mounted")
	f.Inject(fakeregistry.Fault{Stall: true})
	healthy("with a registry that is silent")
	output(t, "mount", "-t", "tmpfs", "none", m.dir)
	covered := true
	uncover := func() {
		if covered {
			covered = false
			output(t, "umount", m.dir)
		}
	}
	t.Cleanup(uncover)
	if status, body := get(t, address, "/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "nothing of orasfs is mounted at "+m.dir) {
		t.Errorf("with something over it: %d %s", status, body)
	}
	uncover()
	healthy("with nothing over it")
}

// TestReadsWhileScraped reads a file, from the registry and then from the cache, while
// the daemon is asked for its metrics and its status all the time: all of it is right.
func TestReadsWhileScraped(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, large)
	address := freeAddress(t)
	m := mountRegistry(t, f.host, "--metrics-addr", address)
	for range 3 {
		p := start(t, exec.Command("cmp", original, m.path(contentPath("app"))))
		for done := false; !done; {
			scrapeOf(t, address)
			m.status(t)
			select {
			case <-p.ended:
				done = true
			default:
			}
		}
		if state := p.wait(t); !state.Success() {
			t.Fatalf("cmp: %s", state)
		}
		dropCache(t, m.path(contentPath("app")))
	}
}
