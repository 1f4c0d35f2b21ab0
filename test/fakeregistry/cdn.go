package fakeregistry

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// A CDN serves a registry's blobs to whom the registry redirected, as the
// storage behind real registries does: an address holds a signature instead of
// asking for credentials, and expires.
type CDN struct {
	requestLog
	faults

	registry *Registry
	mu       sync.Mutex // guards epoch
	epoch    int        // part of every signature; what is signed with an older one has expired
}

// NewCDN makes the handler that [Registry.RedirectBlobs] sends clients to.
func (r *Registry) NewCDN() *CDN { return &CDN{registry: r} }

// RedirectBlobs answers requests for blobs with 307 to the CDN, which is
// served at url (scheme and host). A nil CDN ends it.
func (r *Registry) RedirectBlobs(c *CDN, url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cdn, r.cdnURL = c, strings.TrimSuffix(url, "/")
}

// Signature is the name of the query parameter that holds a signature. Its
// value is a secret: it must not show up anywhere.
const Signature = "X-Signature"

// Secret is what the value of every signature begins with.
const Secret = "s3cr3t-"

// Expire makes every address given so far answer 403.
func (c *CDN) Expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
}

// sign makes the address of a blob.
func (c *CDN) sign(d digest.Digest) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return "/storage/" + d.String() + "?" + Signature + "=" + Secret + strconv.Itoa(c.epoch)
}

// ServeHTTP answers /storage/DIGEST with a valid signature.
func (c *CDN) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	entry := c.begin(req)
	recorder := &recorder{ResponseWriter: w, log: &c.requestLog, entry: entry}
	defer func() { c.end(entry, recorder) }()
	c.disturb(recorder, req, c.serve)
}

func (c *CDN) serve(w http.ResponseWriter, req *http.Request) {
	d := digest.Digest(strings.TrimPrefix(req.URL.Path, "/storage/"))
	if req.URL.RequestURI() != c.sign(d) {
		http.Error(w, "signature expired", http.StatusForbidden)
		return
	}
	c.registry.mu.Lock()
	blob, ok := c.registry.contents[d]
	c.registry.mu.Unlock()
	if !ok {
		http.NotFound(w, req)
		return
	}
	serveContent(w, req, d, "application/octet-stream", blob)
}
