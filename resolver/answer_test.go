package resolver

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestAnswers has what registries, proxies and CDNs answer to a range, and to the
// request for the whole that may follow, and what becomes of it: never other bytes,
// in so many requests.
func TestAnswers(t *testing.T) {
	const whole, part = "abcdefghijklmnopqrstuvwxyz", "defg" // from 3 on
	type fault = fakeregistry.Fault
	header := func(pairs ...string) map[string]string {
		h := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = pairs[i+1]
		}
		return h
	}
	// ofRange is a fault that meets requests for a range alone.
	ofRange := func(f fault) fault { f.If = ranged; return f }
	status := func(n int) fault { return ofRange(fault{Status: n}) }
	tests := []struct {
		name     string
		faults   []fault
		want     string // of the blob; "" is an error
		err      error  // of that kind
		requests int
	}{
		{"the range", nil, part, nil, 1},
		{"200 with Content-Range and the part", []fault{{Code: 200}}, part, nil, 1},
		{"no length", []fault{{Header: header("Content-Length", ""), Drip: 1}}, part, nil, 1},
		{"no total", []fault{{Header: header("Content-Range", "bytes 3-6/*")}}, part, nil, 1},
		{"spelled as in a request", []fault{{Header: header("Content-Range", "bytes=3-6/26")}}, part, nil, 1},
		{"spelled without a total", []fault{{Header: header("Content-Range", "bytes 3-6")}}, part, nil, 1},
		{"spelled without a unit", []fault{{Header: header("Content-Range", "3-6/26")}}, part, nil, 1},
		{"spelled loosely", []fault{{Header: header("Content-Range", " Bytes  3 - 6 / 26")}}, part, nil, 1},
		{"aligned wider", []fault{{Range: "bytes=0-15"}}, part, nil, 1},
		{"aligned wider, after", []fault{{Range: "bytes=3-25"}}, part, nil, 1},
		{"206 with all of it", []fault{{Range: "bytes=0-25"}}, part, nil, 1},
		{"200 with Content-Range and all of it", []fault{{IgnoreRange: true, Header: header("Content-Range", "bytes 0-25/26")}}, whole, nil, 1},
		{"200 with our Content-Range and all of it", []fault{{IgnoreRange: true, Header: header("Content-Range", "bytes 3-6/26")}}, whole, nil, 1},
		{"200", []fault{{IgnoreRange: true}}, whole, nil, 1},
		{"200, no length", []fault{{IgnoreRange: true, Header: header("Content-Length", ""), Drip: 1}}, whole, nil, 1},

		{"200 with the part alone", []fault{ofRange(fault{Code: 200, Header: header("Content-Range", "")})}, whole, nil, 2},
		{"200 with Content-Range, no length", []fault{ofRange(fault{Code: 200, Header: header("Content-Length", ""), Drip: 1})}, whole, nil, 2},
		{"206 without Content-Range", []fault{ofRange(fault{Header: header("Content-Range", "")})}, whole, nil, 2},
		{"several ranges", []fault{ofRange(fault{Status: 206, Header: header("Content-Type", "multipart/byteranges; boundary=x"), Body: []byte("--x\r\n")})}, whole, nil, 2},
		{"too little", []fault{ofRange(fault{Range: "bytes=3-5"})}, whole, nil, 2},
		{"another range", []fault{ofRange(fault{Range: "bytes=4-7"})}, whole, nil, 2},
		{"another length", []fault{ofRange(fault{Body: []byte("xx")})}, whole, nil, 2},
		{"416", []fault{status(416)}, whole, nil, 2},
		{"416 with the size", []fault{ofRange(fault{Status: 416, Header: header("Content-Range", "bytes */26")})}, whole, nil, 2},
		{"400", []fault{status(400)}, whole, nil, 2}, // Artifactory
		{"403", []fault{status(403)}, whole, nil, 2},
		{"404", []fault{status(404)}, whole, nil, 2},
		{"405", []fault{status(405)}, whole, nil, 2},
		{"406", []fault{status(406)}, whole, nil, 2},
		{"410", []fault{status(410)}, whole, nil, 2},
		{"501", []fault{status(501)}, whole, nil, 2},
		{"500", []fault{status(500)}, whole, nil, 7},

		{"gone", []fault{{Status: 404}}, "", errdef.ErrNotFound, 2},
		{"no login", []fault{{Status: 401}}, "", errStatus, 1},
		{"an outage", []fault{{Status: 502}}, "", errStatus, 6},
		{"denied", []fault{{Status: 403}}, "", errStatus, 2},
		{"failing", []fault{{Status: 500}}, "", errStatus, 7},
		{"no content", []fault{{Status: 204}}, "", errStatus, 1},
		{"another total", []fault{{Header: header("Content-Range", "bytes 3-6/27")}}, "", errSize, 1},
		{"another size", []fault{{IgnoreRange: true, Body: []byte("xxxxx")}}, "", errSize, 1},
		{"416 with another size", []fault{{Status: 416, Header: header("Content-Range", "bytes */2")}}, "", errSize, 1},
		{"a whole of another size", []fault{status(400), {Body: []byte(part)}}, "", errSize, 2},
		{"a whole that is a part", []fault{status(400), {Code: 206, Header: header("Content-Range", "bytes 0-3/26")}}, "", errAny, 2},
		{"a whole that says nothing", []fault{status(400), {Code: 206}}, "", errAny, 2},

		{"a label", []fault{{Header: header("Content-Encoding", "aws-chunked,identity")}}, part, nil, 1},
		{"a label of an intact part", []fault{{Header: header("Content-Encoding", "x-gzip")}}, part, nil, 1},
		{"a label of an intact whole", []fault{{IgnoreRange: true, Header: header("Content-Encoding", "GZIP")}}, whole, nil, 1},
		{"a label of an intact part, no length", []fault{{Header: header("Content-Encoding", "gzip", "Content-Length", ""), Drip: 1}}, part, nil, 1},
		{"a compressed part", []fault{{Gzip: true}}, part, nil, 1},
		{"a compressed part, no length", []fault{{Gzip: true, Header: header("Content-Length", ""), Drip: 1}}, part, nil, 1},
		{"a compressed part of something wider", []fault{{Gzip: true, Range: "bytes=1-20"}}, part, nil, 1},
		{"a compressed whole", []fault{{Gzip: true, IgnoreRange: true}}, whole, nil, 1},
		{"a compressed whole, labelled otherwise", []fault{{Gzip: true, IgnoreRange: true, Header: header("Content-Encoding", "x-gzip")}}, whole, nil, 1},
		{"a range of what is compressed", []fault{ofRange(fault{Body: []byte("\x1f\x8bxx"), Header: header("Content-Encoding", "gzip", "Content-Range", "bytes 3-6/48")}), {Gzip: true}}, whole, nil, 2},
		{"a compressed whole that is something else", []fault{{Status: 200, Body: []byte("\x1f\x8b\x08"), Header: header("Content-Encoding", "gzip")}}, "", errAny, 6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fake := fakeregistry.New()
			desc := fake.AddBlob("app", alphabet)
			for _, fault := range test.faults {
				fake.Inject(fault)
			}
			r := repo(t, fake, Options{})
			r.registry.backoff = time.Millisecond
			got, at, err := fetch(r.Blob(desc), 3, 4)
			if test.want == "" {
				if !isKind(err, test.err) || err == nil || !strings.Contains(err.Error(), desc.Digest.String()) {
					t.Errorf("%q, error %v; want %v", got, err, test.err)
				}
			} else if err != nil || got != test.want || string(alphabet[at:int(at)+len(got)]) != got {
				t.Errorf("%q from %d, %v; want %q", got, at, err, test.want)
			}
			if n := fake.Count("", ""); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

// TestLabelOfACompressedBlob has a blob that is compressed itself, as most layers are,
// and a label that says so, as object stores keep it: it comes as it is.
func TestLabelOfACompressedBlob(t *testing.T) {
	var layer bytes.Buffer
	compressor := gzip.NewWriter(&layer)
	_, _ = compressor.Write(alphabet)
	if err := compressor.Close(); err != nil {
		t.Fatal(err)
	}
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", layer.Bytes())
	undo := fake.Inject(fakeregistry.Fault{Header: map[string]string{"Content-Encoding": "x-gzip"}})
	r := repo(t, fake, Options{})
	for _, n := range []int64{desc.Size, 20} {
		if got, _, err := fetch(r.Blob(desc), 0, n); err != nil || got != string(layer.Bytes()[:n]) {
			t.Errorf("%d bytes: %q, %v", n, got, err)
		}
	}
	if size, err := r.BlobSize(t.Context(), desc.Digest); err != nil || size != desc.Size {
		t.Errorf("its size is %d, %v", size, err)
	}
	// Without a length: with a label alone, and compressed once more.
	desc.MediaType = ocispec.MediaTypeImageLayerGzip
	for name, again := range map[string]bool{"labelled": false, "compressed again": true} {
		undo()
		undo = fake.Inject(fakeregistry.Fault{Gzip: again, Header: map[string]string{"Content-Encoding": "gzip", "Content-Length": ""}, Drip: 1})
		for _, part := range [][2]int64{{0, desc.Size}, {0, 20}, {5, 20}} {
			off, n := part[0], part[1]
			got, at, err := fetch(r.Blob(desc), off, n)
			if err != nil || got != string(layer.Bytes()[at:at+int64(len(got))]) || at == off && int64(len(got)) != n {
				t.Errorf("%s: %d bytes from %d: %q, %v", name, n, off, got, err)
			}
		}
	}
}

// TestAlignedAnswers has ranges that are wider by as much as they may be, and by
// more: that may be the whole, which is as good, or nothing.
func TestAlignedAnswers(t *testing.T) {
	const size, off, n = 5 << 20, 2 << 20, 1 << 20
	for _, test := range []struct {
		answer   string
		at       int64
		requests int
	}{
		{fmt.Sprintf("bytes=%d-%d", off-maxAligned, off+n+maxAligned-1), off, 1},
		{fmt.Sprintf("bytes=%d-%d", off-maxAligned-1, off+n-1), 0, 2},
		{fmt.Sprintf("bytes=%d-%d", off, off+n+maxAligned), 0, 2},
		{fmt.Sprintf("bytes=0-%d", size-1), 0, 1},
	} {
		fake := fakeregistry.New()
		desc := fake.AddGenerated("app", 1, size)
		fake.Inject(fakeregistry.Fault{Range: test.answer})
		got, at, err := fetch(repo(t, fake, Options{}).Blob(desc), off, n)
		want := make([]byte, len(got))
		_, _ = fakeregistry.Generated(1, size).ReadAt(want, at)
		if err != nil || at != test.at || got != string(want) || at == off && len(got) != n {
			t.Errorf("%s: %d bytes from %d, %v", test.answer, len(got), at, err)
		}
		if n := fake.Count("", ""); n != test.requests {
			t.Errorf("%s: %d requests, want %d", test.answer, n, test.requests)
		}
	}
}

// A range that is refused where the registry redirects to is asked for at the
// registry again, and then the whole; the refusal of the range isn't remembered as
// one of the whole.
func TestRefusedRangeOfATarget(t *testing.T) {
	for _, status := range []int{403, 404} {
		r := redirect(t)
		desc := r.fake.AddBlob("app", alphabet)
		if _, _, err := fetch(r.repo.Blob(desc), 0, 26); err != nil {
			t.Fatal(err)
		}
		r.repo.registry.denials.lasts = time.Hour
		r.fake.Reset()
		r.cdn.Reset()
		r.cdn.Inject(fakeregistry.Fault{Status: status, If: ranged})
		for i, want := range []struct{ registry, cdn int }{{2, 3}, {1, 2}} { // the second time the range at the registry is known to be refused
			got, at, err := fetch(r.repo.Blob(desc), 3, 4)
			if err != nil || at != 0 || got != string(alphabet) {
				t.Errorf("%d: %q from %d, %v", status, got, at, err)
			}
			if n, m := r.fake.Count("GET", ""), r.cdn.Count("GET", ""); n != want.registry || m != want.cdn {
				t.Errorf("%d, %d: the registry was asked %d times, the CDN %d, want %+v", status, i, n, m, want)
			}
			r.fake.Reset()
			r.cdn.Reset()
		}
		r.noSecrets(t, nil)
	}
}

// Whoever reads on after a break, where ranges are refused meanwhile, gets the same
// bytes.
func TestWholeAfterABreak(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddGenerated("app", 7, 100_000)
	fake.Inject(fakeregistry.Fault{Cut: true, CutAt: 40_000, Times: 1})
	fake.Inject(fakeregistry.Fault{Status: 403, If: ranged})
	got, at, err := fetch(repo(t, fake, Options{}).Blob(desc), 1000, 90_000)
	want := make([]byte, 90_000)
	_, _ = fakeregistry.Generated(7, 100_000).ReadAt(want, 1000)
	if err != nil || at != 1000 || got != string(want) {
		t.Errorf("%d bytes from %d, %v", len(got), at, err)
	}
	if n := fake.Count("GET", "/blobs/"); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}
