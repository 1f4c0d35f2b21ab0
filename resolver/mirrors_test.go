package resolver

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// mirrored is a registry with a mirror before it, which hold the same.
type mirrored struct {
	registry, mirror *fakeregistry.Registry
	at, mirrorAt     string // HOST:PORT
	dir              string
	manifest, blob   ocispec.Descriptor
	content          []byte // of blob
}

// mirrorBlob is larger than what is verified at once.
const mirrorBlob = MaxManifest + 1000

func newMirrored(t *testing.T) *mirrored {
	t.Helper()
	m := &mirrored{registry: fakeregistry.New(), mirror: fakeregistry.New(), dir: t.TempDir()}
	m.at, m.mirrorAt = serve(t, m.registry), serve(t, m.mirror)
	m.content = make([]byte, mirrorBlob)
	_, _ = io.ReadFull(fakeregistry.Generated(1, mirrorBlob), m.content)
	for _, r := range []*fakeregistry.Registry{m.registry, m.mirror} {
		m.blob = r.AddBlob("app", m.content)
		m.manifest = r.AddArtifact("app", "v1", "application/vnd.example", nil, m.blob)
	}
	return m
}

// say writes the registry's hosts.toml; %s stands for the mirror's HOST:PORT.
func (m *mirrored) say(t *testing.T, file string) {
	t.Helper()
	folder := filepath.Join(m.dir, strings.Replace(m.at, ":", "_", 1)+"_")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(t.TempDir(), hostsFileName)
	writeFile(t, next, strings.ReplaceAll(file, "%s", m.mirrorAt), 0o600)
	if err := os.Rename(next, filepath.Join(folder, hostsFileName)); err != nil {
		t.Fatal(err)
	}
}

func (m *mirrored) connect(t *testing.T, o Options) *Repository {
	t.Helper()
	o.HostsDir = m.dir
	return repoOf(t, dial(t, m.at, o), "app")
}

// checkAll asks for everything, which has to be right.
func (m *mirrored) checkAll(t *testing.T, r *Repository) {
	t.Helper()
	desc, err := r.Resolve(t.Context(), "v1")
	if err != nil || desc.Digest != m.manifest.Digest {
		t.Errorf("the tag: %v, %v", desc.Digest, err)
	}
	if content, err := r.Manifest(t.Context(), m.manifest.Digest); err != nil || int64(len(content)) != m.manifest.Size {
		t.Errorf("the manifest: %d bytes, %v", len(content), err)
	}
	if size, err := r.BlobSize(t.Context(), m.blob.Digest); err != nil || size != m.blob.Size {
		t.Errorf("the blob's size: %d, %v", size, err)
	}
	small := ocispec.DescriptorEmptyJSON
	small.Data = nil
	if content, _, err := fetch(r.Blob(small), 0, small.Size); err != nil || content != "{}" {
		t.Errorf("the small blob: %q, %v", content, err)
	}
	m.checkBlob(t, r)
	if desc, err := r.Resolve(t.Context(), m.manifest.Digest.String()); err != nil || desc.Size != m.manifest.Size || desc.MediaType != m.manifest.MediaType {
		t.Errorf("the digest: %v, %v", desc, err)
	}
}

func (m *mirrored) checkBlob(t *testing.T, r *Repository) {
	t.Helper()
	for _, off := range []int64{0, 1 << 20} {
		content, at, err := fetch(r.Blob(m.blob), off, 5000)
		if err != nil || len(content) < 5000 || !strings.HasPrefix(string(m.content[at:]), content) {
			t.Errorf("bytes from %d on of the blob: %d from %d on, %v", off, len(content), at, err)
		}
	}
}

// A registry is asked for nothing that a mirror gives, though another one is dead,
// and every request says which registry is meant.
func TestMirrorServes(t *testing.T) {
	m := newMirrored(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	m.say(t, fmt.Sprintf("[host.\"http://%s\"]\n[host.\"http://%%s\"]\n", dead.Addr()))
	m.checkAll(t, m.connect(t, Options{}))
	if n := m.registry.Count("", ""); n != 0 {
		t.Errorf("%d requests to the registry: %v", n, m.registry.Requests())
	}
	requests := m.mirror.Requests()
	if len(requests) < 5 {
		t.Errorf("%d requests to the mirror", len(requests))
	}
	for _, req := range requests {
		if got := req.Query.Get("ns"); got != m.at {
			t.Errorf("%s %s has ns=%q, want %q", req.Method, req.Path, got, m.at)
		}
	}
}

// The registry isn't told of itself, neither as the server nor as a host.
func TestNoNamespaceForTheRegistry(t *testing.T) {
	m := newMirrored(t)
	for _, file := range []string{
		fmt.Sprintf("server = \"http://%s\"", m.at),
		fmt.Sprintf("[host.\"http://%s\"]", m.at),
	} {
		m.say(t, file)
		m.checkAll(t, m.connect(t, Options{}))
	}
	for _, req := range m.registry.Requests() {
		if req.Query.Has("ns") {
			t.Errorf("%s %s has a namespace", req.Method, req.Path)
		}
	}
}

// A host is asked only for what it is said to be good for.
func TestMirrorCapabilities(t *testing.T) {
	for _, test := range []struct {
		capabilities    string
		tags, contents  bool // asked of the mirror
		mirrorReferrers bool
	}{
		{``, true, true, true},
		{`capabilities = ["pull"]`, false, true, false},
		{`capabilities = ["pull", "resolve"]`, true, true, false},
		{`capabilities = ["resolve"]`, false, false, false}, // a tag is a manifest, too
		{`capabilities = ["referrers"]`, false, false, true},
		{`capabilities = ["push"]`, false, false, false},
	} {
		t.Run(test.capabilities, func(t *testing.T) {
			m := newMirrored(t)
			referrer := m.mirror.AddArtifact("app", "", "application/vnd.sbom", nil)
			m.mirror.AddReferrer("app", m.manifest.Digest, referrer)
			m.registry.AddReferrer("app", m.manifest.Digest, referrer)
			m.say(t, "[host.\"http://%s\"]\n"+test.capabilities)
			r := m.connect(t, Options{})
			m.checkAll(t, r)
			if found, err := r.Referrers(t.Context(), m.manifest, ""); err != nil || len(found) != 1 {
				t.Errorf("referrers: %v, %v", found, err)
			}
			for path, asked := range map[string]bool{
				"HEAD /manifests/v1": test.tags, "GET /manifests/sha256": test.contents, "GET /blobs/": test.contents,
				"HEAD /blobs/": test.tags, "GET /referrers/": test.mirrorReferrers,
			} {
				method, path, _ := strings.Cut(path, " ")
				if of, other := m.mirror.Count(method, path), m.registry.Count(method, path); (of > 0) != asked || (other > 0) == asked {
					t.Errorf("%s %s: %d requests to the mirror, %d to the registry", method, path, of, other)
				}
			}
		})
	}
}

// Who is the registry itself, and gets what is the registry's.
func TestOwnEndpoints(t *testing.T) {
	for _, test := range []struct {
		registry, address string
		host, last        bool // the registry itself, as a host or as the server
	}{
		{"example.com", "https://example.com", true, true},
		{"example.com", "https://EXAMPLE.com:443/x", true, true},
		{"example.com", "http://example.com", false, true}, // as the administrator says
		{"example.com", "https://example.com:5000", false, false},
		{"example.com", "https://mirror.example.com", false, false},
		{"docker.io", "https://docker.io", true, true},
		{"docker.io", "https://registry-1.docker.io", true, true},
		{"docker.io", "https://mirror.gcr.io", false, false},
	} {
		r := dial(t, test.registry, Options{})
		all, err := parseHosts([]byte("server = \""+test.address+"\"\n[host.\""+test.address+"\"]"), "")
		if err != nil {
			t.Fatal(err)
		}
		if host, last := r.mirrors.isOwn(all[0], false), r.mirrors.isOwn(all[1], true); host != test.host || last != test.last {
			t.Errorf("%s is %s: %v as a host, %v as the server", test.address, test.registry, host, last)
		}
	}
}

// Tokens are for what a repository is called at the mirror.
func TestMirrorScope(t *testing.T) {
	for base, want := range map[string]string{"/v2": "app", "/us/v2": "app", "/v2/hub": "hub/app", "": "app"} {
		if got := (&endpoint{base: base}).scope("app"); got != want {
			t.Errorf("at %q it is %q", base, got)
		}
	}
}

// What is the registry's is never shown to a mirror, nor the other way round.
func TestMirrorGetsNoCredential(t *testing.T) {
	m := newMirrored(t)
	m.registry.RequireBasic("alice", "secret")
	m.mirror.RequireBasic("bob", "other")
	m.say(t, "[host.\"http://%s\"]\n[host.\"http://%s\".header]\nx-mirror = \"m\"\n")
	m.checkAll(t, m.connect(t, Options{Username: "alice", Password: "secret", Header: http.Header{"X-Registry": {"r"}}}))
	for _, req := range m.mirror.Requests() {
		if req.Header.Get("Authorization") != "" || req.Header.Get("X-Registry") != "" || req.Header.Get("X-Mirror") != "m" {
			t.Errorf("the mirror saw %v", req.Header)
		}
	}
	requests := m.registry.Requests()
	for _, req := range requests {
		if req.Header.Get("X-Mirror") != "" || req.Header.Get("X-Registry") != "r" {
			t.Errorf("the registry saw %v", req.Header)
		}
	}
	if len(requests) == 0 || m.mirror.Count("", "") == 0 {
		t.Error("one of them wasn't asked")
	}
}

// What a file says of the registry itself is added to what the user says.
func TestOwnHeaders(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[header]\nx-file = \"f\"\nx-both = \"f\"\n")
	m.checkAll(t, m.connect(t, Options{Header: http.Header{"X-User": {"u"}, "X-Both": {"u"}}}))
	for _, req := range m.registry.Requests() {
		if h := req.Header; h.Get("X-File") != "f" || h.Get("X-User") != "u" || len(h["X-Both"]) != 1 || h.Get("X-Both") != "u" {
			t.Errorf("the registry saw %v", h)
		}
	}
}

// A mirror has its own credential, by its host.
func TestMirrorWithACredential(t *testing.T) {
	m := newMirrored(t)
	m.registry.RequireBasic("alice", "secret")
	m.mirror.RequireBasic("bob", "other")
	m.say(t, "[host.\"http://%s\"]\n")
	config := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, config, fmt.Sprintf(`{"auths": {%q: {"auth": "Ym9iOm90aGVy"}}}`, m.mirrorAt), 0o600)
	m.checkAll(t, m.connect(t, Options{RegistryConfigs: []string{config}}))
	if n := m.registry.Count("", ""); n != 0 {
		t.Errorf("%d requests to the registry", n)
	}
}

// A mirror's API may be at another path, and referrers of it on several pages.
func TestMirrorElsewhere(t *testing.T) {
	for _, test := range []struct{ address, override, prefix string }{
		{"/cache", "", "/cache"},
		{"/v2/app", "override_path = true", "/v2/app"}, // which a repository is called, too
	} {
		m := newMirrored(t)
		for range 3 {
			desc := m.mirror.AddArtifact("app", "", "application/vnd.sbom", map[string]string{"n": fmt.Sprint(len(m.mirror.Requests()))})
			m.mirror.AddReferrer("app", m.manifest.Digest, desc)
		}
		var all []ocispec.Descriptor
		for i := range 3 {
			desc := m.mirror.AddArtifact("app", "", "application/vnd.sbom", map[string]string{"n": fmt.Sprint(i)})
			m.mirror.AddReferrer("app", m.manifest.Digest, desc)
			all = append(all, desc)
		}
		m.mirror.SetListing(fakeregistry.Listing{MaxPage: 2})
		var odd []string
		m.mirrorAt = serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			below, ok := strings.CutPrefix(req.URL.Path, test.prefix)
			if !ok {
				odd = append(odd, req.URL.Path)
			}
			if test.override != "" {
				below = "/v2" + below
			}
			req.URL.Path = below
			m.mirror.ServeHTTP(&prefixed{w, test.prefix, test.override != "", false}, req)
		}))
		m.say(t, "[host.\"http://%s"+test.address+"\"]\n"+test.override)
		r := m.connect(t, Options{})
		m.checkAll(t, r)
		found, err := r.Referrers(t.Context(), m.manifest, "")
		if err != nil || len(found) < len(all) {
			t.Errorf("%s: referrers %v, %v", test.address, found, err)
		}
		if n := m.registry.Count("", ""); n != 0 || len(odd) > 0 {
			t.Errorf("%s: %d requests to the registry, to the mirror's %v", test.address, n, odd)
		}
	}
}

// prefixed writes the links of an answer as one has them whose API isn't at /v2.
type prefixed struct {
	http.ResponseWriter
	prefix   string
	override bool
	begun    bool
}

func (p *prefixed) WriteHeader(status int) {
	p.begun = true
	if link := p.Header().Get("Link"); link != "" {
		if p.override {
			link = strings.Replace(link, "/v2", "", 1)
		}
		p.Header().Set("Link", strings.Replace(link, "</", "<"+p.prefix+"/", 1))
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *prefixed) Write(b []byte) (int, error) {
	if !p.begun {
		p.WriteHeader(http.StatusOK)
	}
	return p.ResponseWriter.Write(b)
}

// Where a mirror is the server the registry is asked for nothing, lists included.
func TestMirrorInPlaceOfTheRegistry(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "server = \"http://%s\"\n")
	r := m.connect(t, Options{Username: "alice", Password: "secret"})
	m.checkAll(t, r)
	var tags []string
	if err := r.Tags(t.Context(), func(page []string) error { tags = append(tags, page...); return nil }); err != nil || len(tags) != 1 {
		t.Errorf("tags %v, %v", tags, err)
	}
	if err := r.registry.Repositories(t.Context(), "", func([]string) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := r.registry.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if n := m.registry.Count("", ""); n != 0 {
		t.Errorf("%d requests to the registry", n)
	}
	m.mirror.Inject(fakeregistry.Fault{Path: "/manifests/", Status: http.StatusForbidden})
	_, err := r.Resolve(t.Context(), "v2")
	if party, ok := PartyOf(err); !ok || party.Role != RoleMirror || party.Host != m.mirrorAt || party.Registry != m.at {
		t.Errorf("%v is about %v", err, party)
	}
}

// What a mirror lists says nothing: lists are the registry's.
func TestMirrorListsNothing(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\n")
	m.mirror.AddRepositories("only/mirror")
	r := m.connect(t, Options{})
	for _, list := range []func() error{
		func() error { return r.Tags(t.Context(), func([]string) error { return nil }) },
		func() error { return r.registry.Repositories(t.Context(), "", func([]string) error { return nil }) },
	} {
		if err := list(); err != nil {
			t.Error(err)
		}
	}
	if n := m.mirror.Count("", ""); n != 0 {
		t.Errorf("%d requests to the mirror", n)
	}
}

// Who asks by way of mirrors is told apart from who doesn't.
func TestAskingByWayOfMirrors(t *testing.T) {
	m := newMirrored(t)
	r := m.connect(t, Options{}).registry
	without, err := r.Asking(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.say(t, "[host.\"http://%s\"]\n")
	with, err := r.Asking(t.Context())
	if err != nil || with == without {
		t.Errorf("%q and %q, %v", with, without, err)
	}
}
