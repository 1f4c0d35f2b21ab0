package fakeregistry

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Registry is a registry in memory. All of its methods may be called while
// it serves.
type Registry struct {
	requestLog
	faults

	mu       sync.Mutex // guards everything below
	repos    map[string]*repository
	catalog  []string // names of repos, sorted; nil when it has to be made anew
	listing  Listing
	auth     authentication
	cdn      *CDN
	cdnURL   string
	contents map[digest.Digest]content // of all blobs, whatever their repository
}

// A repository is what the registry holds under one name.
type repository struct {
	blobs     map[digest.Digest]bool
	manifests map[digest.Digest]manifest
	tags      map[string]digest.Digest
	sorted    []string // names of tags, sorted; nil when it has to be made anew
	referrers map[digest.Digest][]ocispec.Descriptor
}

// A content is the bytes of a blob.
type content struct {
	io.ReaderAt
	size int64
}

type manifest struct {
	mediaType string
	content   []byte
}

// New makes an empty registry that anyone may read.
func New() *Registry {
	return &Registry{repos: make(map[string]*repository), contents: make(map[digest.Digest]content)}
}

// AddRepositories adds empty repositories: they are in the catalog and have no
// tags.
func (r *Registry) AddRepositories(names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.repository(name)
	}
}

// repository returns the one with that name, a new one if need be. r.mu is held.
func (r *Registry) repository(name string) *repository {
	if repo, ok := r.repos[name]; ok {
		return repo
	}
	repo := new(repository)
	r.repos[name] = repo
	r.catalog = nil
	return repo
}

// AddBlob adds a blob to a repository.
func (r *Registry) AddBlob(repo string, b []byte) ocispec.Descriptor {
	return r.addContent(repo, digest.FromBytes(b), content{bytes.NewReader(b), int64(len(b))})
}

// AddGenerated adds a blob of size bytes that isn't held in memory: it is
// [Generated] with that seed.
func (r *Registry) AddGenerated(repo string, seed uint64, size int64) ocispec.Descriptor {
	generated := Generated(seed, size)
	d, err := digest.FromReader(Generated(seed, size))
	if err != nil {
		panic(err) // Generated doesn't fail
	}
	return r.addContent(repo, d, content{generated, size})
}

// AddWrongBlob adds a blob whose content doesn't match its digest.
func (r *Registry) AddWrongBlob(repo string, d digest.Digest, b []byte) ocispec.Descriptor {
	return r.addContent(repo, d, content{bytes.NewReader(b), int64(len(b))})
}

func (r *Registry) addContent(repo string, d digest.Digest, c content) ocispec.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	re := r.repository(repo)
	if re.blobs == nil {
		re.blobs = make(map[digest.Digest]bool)
	}
	re.blobs[d] = true
	r.contents[d] = c
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: c.size}
}

// AddManifest adds a manifest, or anything else that is served as one, and
// tags it unless tag is empty.
func (r *Registry) AddManifest(repo, tag, mediaType string, b []byte) ocispec.Descriptor {
	desc := r.AddWrongManifest(repo, mediaType, digest.FromBytes(b), b)
	if tag != "" {
		r.Tag(repo, desc.Digest, tag)
	}
	return desc
}

// AddWrongManifest adds a manifest under a digest that is given, which its
// content need not match.
func (r *Registry) AddWrongManifest(repo, mediaType string, d digest.Digest, b []byte) ocispec.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	re := r.repository(repo)
	if re.manifests == nil {
		re.manifests = make(map[digest.Digest]manifest)
	}
	re.manifests[d] = manifest{mediaType, b}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

// AddArtifact adds an OCI image manifest with those layers, which need not be
// there, and an empty config. It is the shortest way to something to mount.
func (r *Registry) AddArtifact(repo, tag, artifactType string, annotations map[string]string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	r.AddBlob(repo, []byte("{}"))
	m := ocispec.Manifest{
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       append([]ocispec.Descriptor{}, layers...),
		Annotations:  annotations,
	}
	m.SchemaVersion = 2
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // a manifest always marshals
	}
	desc := r.AddManifest(repo, tag, m.MediaType, b)
	desc.ArtifactType = artifactType
	return desc
}

// Tag points tags to a manifest, which need not be there.
func (r *Registry) Tag(repo string, d digest.Digest, tags ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	re := r.repository(repo)
	if re.tags == nil {
		re.tags = make(map[string]digest.Digest, len(tags))
	}
	for _, tag := range tags {
		re.tags[tag] = d
	}
	re.sorted = nil
}

// Untag removes tags.
func (r *Registry) Untag(repo string, tags ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	re := r.repository(repo)
	for _, tag := range tags {
		delete(re.tags, tag)
	}
	re.sorted = nil
}

// AddReferrer makes the repository answer the referrers API, which is 404 for
// every repository without one, and adds desc to the referrers of subject.
func (r *Registry) AddReferrer(repo string, subject digest.Digest, desc ocispec.Descriptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	re := r.repository(repo)
	if re.referrers == nil {
		re.referrers = make(map[digest.Digest][]ocispec.Descriptor)
	}
	re.referrers[subject] = append(re.referrers[subject], desc)
}

// ServeHTTP answers a request of the distribution API, of the token endpoint
// (/token), or any other with 404.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	entry := r.begin(req)
	recorder := &recorder{ResponseWriter: w, log: &r.requestLog, entry: entry}
	defer func() { r.end(entry, recorder) }()
	r.disturb(recorder, req, r.serve)
}

func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/token" {
		r.serveToken(w, req)
		return
	}
	path, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	if !ok {
		http.NotFound(w, req)
		return
	}
	name, kind, object := splitPath(path)
	if !r.authorize(w, req, scopeOf(name, kind)) {
		return
	}
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported")
	case path == "":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	case path == "_catalog":
		r.serveCatalog(w, req)
	case kind == "tags":
		r.serveTags(w, req, name)
	case kind == "manifests":
		r.serveManifest(w, req, name, object)
	case kind == "blobs":
		r.serveBlob(w, req, name, digest.Digest(object))
	case kind == "referrers":
		r.serveReferrers(w, req, name, digest.Digest(object))
	default:
		fail(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
	}
}

// splitPath splits what comes after /v2/ into a repository's name, the kind of
// object and the object: app/manifests/v1. Kind is empty for anything else.
func splitPath(path string) (name, kind, object string) {
	for _, kind := range []string{"manifests", "blobs", "referrers"} {
		if i := strings.LastIndex(path, "/"+kind+"/"); i > 0 {
			return path[:i], kind, path[i+len(kind)+2:]
		}
	}
	if name, ok := strings.CutSuffix(path, "/tags/list"); ok {
		return name, "tags", ""
	}
	return "", "", ""
}

func (r *Registry) serveManifest(w http.ResponseWriter, req *http.Request, name, reference string) {
	r.mu.Lock()
	var m manifest
	var found bool
	d := digest.Digest(reference)
	if repo := r.repos[name]; repo != nil {
		if tagged, ok := repo.tags[reference]; ok {
			d = tagged
		}
		m, found = repo.manifests[d]
	}
	r.mu.Unlock()
	// As distribution does: what the client didn't ask for isn't there.
	accept := strings.Join(req.Header.Values("Accept"), ",")
	if !found || (!strings.Contains(accept, m.mediaType) && !strings.Contains(accept, "*/*")) {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	serveContent(w, req, d, m.mediaType, content{bytes.NewReader(m.content), int64(len(m.content))})
}

func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request, name string, d digest.Digest) {
	r.mu.Lock()
	repo := r.repos[name]
	c, ok := r.contents[d]
	cdn, url := r.cdn, r.cdnURL
	ok = ok && repo != nil && repo.blobs[d]
	r.mu.Unlock()
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
	case cdn != nil:
		w.Header().Set("Docker-Content-Digest", d.String())
		http.Redirect(w, req, url+cdn.sign(d), http.StatusTemporaryRedirect)
	default:
		serveContent(w, req, d, "application/octet-stream", c)
	}
}

func (r *Registry) serveReferrers(w http.ResponseWriter, req *http.Request, name string, subject digest.Digest) {
	r.mu.Lock()
	repo, listing := r.repos[name], r.listing
	supported := repo != nil && repo.referrers != nil
	var referrers []ocispec.Descriptor
	if supported {
		referrers = slices.Clone(repo.referrers[subject])
	}
	r.mu.Unlock()
	if !supported {
		http.NotFound(w, req)
		return
	}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: listing.referrers(w, req, referrers)}
	index.SchemaVersion = 2
	w.Header().Set("Content-Type", index.MediaType)
	_ = json.NewEncoder(w).Encode(index)
}

// fail answers with an error as the distribution specification writes it.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"errors": []map[string]string{{"code": code, "message": message}},
	})
}
