package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// Whatever a mirror does wrong, the registry's content is had.
func TestMirrorFails(t *testing.T) {
	wrong := []byte("something else")
	for name, fault := range map[string]fakeregistry.Fault{
		"hangs up":            {Close: true},
		"resets":              {Reset: true},
		"fails":               {Status: http.StatusInternalServerError},
		"is unavailable":      {Status: http.StatusServiceUnavailable, Header: map[string]string{"Retry-After": "3600"}},
		"asks to wait":        {Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "3600"}},
		"has nothing":         {Status: http.StatusNotFound},
		"wants a login":       {Status: http.StatusUnauthorized, Header: map[string]string{"Www-Authenticate": `Basic realm="x"`}},
		"forbids":             {Status: http.StatusForbidden},
		"shows a page":        {Status: http.StatusOK, Header: map[string]string{"Content-Type": "text/html"}, Body: []byte("<html>log in</html>")},
		"redirects nowhere":   {Status: http.StatusFound, Header: map[string]string{"Location": "ftp://example"}},
		"has other bytes":     {Path: "/app/", Method: http.MethodGet, Flip: true, If: func(req *http.Request) bool { return req.Header.Get("Range") == "" }},
		"has other blobs":     {Path: "/blobs/", Method: http.MethodGet, Flip: true, If: func(req *http.Request) bool { return req.Header.Get("Range") == "" }},
		"has other documents": {Path: "/manifests/", Method: http.MethodGet, Body: wrong},
		"tells other sizes":   {Method: http.MethodHead, Path: "/manifests/sha256", Header: map[string]string{"Content-Length": "7"}},
		"cuts":                {Method: http.MethodGet, Cut: true, CutAt: 1},
		"takes no range":      {Path: "/blobs/", Status: http.StatusRequestedRangeNotSatisfiable},
		"sends all":           {IgnoreRange: true},
		"sends another range": {Range: "bytes=7-8"},
		"stalls":              {Stall: true},
		"stalls in a body":    {Method: http.MethodGet, Hang: true, CutAt: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMirrored(t)
			m.say(t, "[host.\"http://%s\"]\n")
			m.mirror.Inject(fault)
			var o Options
			if fault.Stall || fault.Hang {
				o.Timeout = answerTimeout
			}
			m.checkAll(t, m.connect(t, o))
		})
	}
}

// What a mirror hasn't is asked of the registry once, and of the mirror too.
func TestMirrorWithoutIt(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\n")
	m.mirror.Inject(fakeregistry.Fault{Status: http.StatusNotFound})
	r := m.connect(t, Options{})
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	m.checkBlob(t, r)
	if tag, blob := m.mirror.Count("", "/manifests/"), m.mirror.Count("", "/blobs/"); tag != 1 || blob != 1 {
		t.Errorf("the mirror was asked %d times for the tag and %d times for the blob", tag, blob)
	}
	_, err := r.Resolve(t.Context(), "v2")
	wantIs(t, err, errdef.ErrNotFound)
	if party, ok := PartyOf(err); !ok || party.Host != m.at {
		t.Errorf("who says so: %v", party)
	}
}

// A mirror that fails isn't asked again at once: there is somebody else.
func TestMirrorIsNotRetried(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\n")
	m.mirror.Inject(fakeregistry.Fault{Status: http.StatusBadGateway})
	r := m.connect(t, Options{})
	m.checkBlob(t, r)
	if _, err := r.Manifest(t.Context(), m.manifest.Digest); err != nil {
		t.Fatal(err)
	}
	if document, blob := m.mirror.Count("", "/manifests/"), m.mirror.Count("", "/blobs/"); document != 1 || blob != 1 {
		t.Errorf("it was asked %d times for a document and %d times for a blob", document, blob)
	}
}

// A mirror that gave no answer in time isn't waited for a second time, though it is
// up.
func TestMirrorThatStallsIsSetAside(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\n")
	m.mirror.Inject(fakeregistry.Fault{Path: "/app/", Stall: true})
	r := m.connect(t, Options{Timeout: answerTimeout})
	m.checkAll(t, r)
	if n := m.mirror.Count("", "/app/"); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// The longer it goes on the longer it isn't asked, until it gives something.
func TestMirrorThatStallsAgain(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\n")
	w := m.connect(t, Options{}).registry.mirrors.ways[0]
	fails := func() time.Duration {
		now := time.Now()
		w.failed(now, timeoutError{stalled: true})
		return w.aside.Sub(now).Round(30 * time.Second)
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 16} {
		w.aside = time.Time{}
		if got := fails(); got != want*time.Minute {
			t.Errorf("not asked for %s, want %d minutes", got, want)
		}
	}
	w.worked()
	w.aside = time.Time{}
	for range 8 { // at once
		if got := fails(); got != time.Minute {
			t.Errorf("not asked for %s after it gave something", got)
		}
	}
	if w.failed(time.Now(), errdef.ErrNotFound); !w.isAside() {
		t.Error("it is asked again because something isn't there")
	}
}

// A blob whose mirror breaks off comes from the registry from there on.
func TestBlobGoesOnAtTheRegistry(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\n")
	m.mirror.Inject(fakeregistry.Fault{Method: http.MethodGet, Path: "/blobs/", Cut: true, CutAt: 300_000})
	r := m.connect(t, Options{})
	content, _, err := fetch(r.Blob(m.blob), 1000, 1<<20)
	if err != nil || content != string(m.content[1000:1000+1<<20]) {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	requests := m.registry.Matching(http.MethodGet, "/blobs/")
	if len(requests) != 1 || requests[0].Header.Get("Range") != fmt.Sprintf("bytes=301000-%d", 1000+1<<20-1) {
		t.Errorf("requests to the registry: %v", requests)
	}
	if n := m.mirror.Count("", "/blobs/"); n != 1 {
		t.Errorf("%d requests to the mirror", n)
	}
}

// Where a large blob turned out to be wrong, the registry is asked for it, and the
// mirror for nothing.
func TestPassOver(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\n")
	m.mirror.Inject(fakeregistry.Fault{Path: "/blobs/", Flip: true, FlipAt: 100})
	var log bytes.Buffer
	r := m.connect(t, Options{Log: debugLog(&log)})
	blob := r.Blob(m.blob).(*Blob)
	content, _, err := fetch(blob, 0, m.blob.Size)
	if err != nil || content == string(m.content) {
		t.Fatalf("the mirror doesn't lie, or %v", err)
	}
	blob.PassOver()
	if content, _, err = fetch(blob, 0, m.blob.Size); err != nil || content != string(m.content) {
		t.Errorf("then: %d bytes, %v", len(content), err)
	}
	before := m.mirror.Count("", "")
	m.checkAll(t, r)
	if n := m.mirror.Count("", ""); n != before {
		t.Errorf("the mirror is asked again: %d requests", n-before)
	}
	if !strings.Contains(log.String(), m.mirrorAt+" (mirror of "+m.at+")") || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("the log doesn't say who lied:\n%s", log.String())
	}
	blob.PassOver() // the registry is the last
	if content, _, err = fetch(blob, 0, 100); err != nil || content != string(m.content[:100]) {
		t.Errorf("at last: %v", err)
	}
}

// That a mirror knows of no referrer isn't that there is none.
func TestMirrorWithoutReferrers(t *testing.T) {
	m := newMirrored(t)
	referrer := m.registry.AddArtifact("app", "", "application/vnd.sbom", nil)
	m.registry.AddReferrer("app", m.manifest.Digest, referrer)
	m.say(t, "[host.\"http://%s\"]\n")
	r := m.connect(t, Options{})
	for range 2 { // first it has no such API, then no such referrer
		if found, err := r.Referrers(t.Context(), m.manifest, ""); err != nil || len(found) != 1 {
			t.Errorf("%v, %v", found, err)
		}
		m.mirror.AddReferrer("app", digest.FromString("another"), referrer)
	}
	if n := m.mirror.Count("", "/manifests/"); n != 0 {
		t.Errorf("the mirror was asked %d times for the tag in the API's place", n)
	}
}

// A registry that is down is as good as up where a mirror is.
func TestPingWithAMirror(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.registry.Inject(fakeregistry.Fault{Close: true})
	r := m.connect(t, Options{Timeout: answerTimeout})
	if err := r.registry.Ping(t.Context()); err == nil {
		t.Error("without a mirror: no error")
	}
	m.say(t, "[host.\"http://%s\"]\ncapabilities = [\"pull\"]")
	if err := r.registry.Ping(t.Context()); err == nil {
		t.Error("with one that resolves no tag: no error")
	}
	m.say(t, "[host.\"http://%s\"]\n")
	if err := r.registry.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	m.checkAll(t, r)
}

// An error names the mirror where it is the last that can be asked.
func TestMirrorErrorNamesIt(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "capabilities = [\"push\"]\n[host.\"http://%s\"]\n")
	m.mirror.Inject(fakeregistry.Fault{Reset: true})
	_, err := m.connect(t, Options{}).Resolve(t.Context(), "v1")
	if err == nil || !strings.Contains(err.Error(), m.mirrorAt+" (mirror of "+m.at+")") || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v", err)
	}
	m.say(t, "capabilities = [\"push\"]\n")
	_, err = m.connect(t, Options{}).Resolve(t.Context(), "v1")
	wantIs(t, err, errdef.ErrUnsupported)
	_, _, err = fetch(m.connect(t, Options{}).Blob(m.blob), 0, 10)
	wantIs(t, err, errdef.ErrUnsupported)
}

// A caller that goes away isn't kept by mirrors.
func TestMirrorAndCallerThatGoesAway(t *testing.T) {
	m := newMirrored(t)
	m.say(t, "[host.\"http://%s\"]\n")
	m.mirror.Inject(fakeregistry.Fault{Stall: true})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := m.connect(t, Options{}).Resolve(ctx, "v1")
	wantIs(t, err, context.Canceled)
	if n := m.registry.Count("", ""); n != 0 {
		t.Errorf("%d requests to the registry", n)
	}
}
