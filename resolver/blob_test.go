package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// alphabet is the content of most blobs here.
var alphabet = []byte("abcdefghijklmnopqrstuvwxyz")

// fetch reads a range and returns the bytes of the blob that came, and from
// where on.
func fetch(b Fetcher, off, n int64) (content string, at int64, err error) {
	body, whole, err := b.Fetch(context.Background(), off, n, nil)
	if err != nil {
		return "", 0, err
	}
	defer body.Close()
	if !whole {
		at = off
	}
	all, err := io.ReadAll(body)
	return string(all), at, err
}

func TestFetch(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	r := repo(t, fake, Options{})
	tests := []struct {
		off, n int64
		want   string
		header string // Range of the request
	}{
		{0, 26, string(alphabet), ""},
		{0, 25, "abcdefghijklmnopqrstuvwxy", "bytes=0-24"},
		{3, 4, "defg", "bytes=3-6"},
		{25, 1, "z", "bytes=25-25"},
	}
	for _, test := range tests {
		fake.Reset()
		got, at, err := fetch(r.Blob(desc), test.off, test.n)
		if err != nil || got != test.want || at != test.off {
			t.Errorf("%d+%d: %q from %d, %v; want %q", test.off, test.n, got, at, err, test.want)
		}
		requests := fake.Requests()
		if len(requests) != 1 {
			t.Errorf("%d+%d: %d requests, want 1", test.off, test.n, len(requests))
			continue
		}
		if got := requests[0].Header.Get("Range"); got != test.header {
			t.Errorf("%d+%d: Range %q, want %q", test.off, test.n, got, test.header)
		}
		if got := requests[0].Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding %q", got)
		}
	}
}

func TestFetchNothing(t *testing.T) {
	fake := fakeregistry.New()
	r := repo(t, fake, Options{})
	empty := fake.AddBlob("app", nil)
	if got, _, err := fetch(r.Blob(empty), 0, 0); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	desc := fake.AddBlob("app", alphabet)
	for _, outside := range [][2]int64{{-1, 1}, {0, -1}, {0, 27}, {26, 1}, {1, 1<<63 - 1}} {
		if _, _, err := fetch(r.Blob(desc), outside[0], outside[1]); err == nil {
			t.Errorf("%d+%d: no error", outside[0], outside[1])
		}
	}
	if n := fake.Count("", ""); n != 0 {
		t.Errorf("%d requests for nothing", n)
	}
}

func TestFetchEmbedded(t *testing.T) {
	fake := fakeregistry.New()
	r := repo(t, fake, Options{})
	desc := fake.AddBlob("app", alphabet)
	desc.Data = alphabet
	if got, at, err := fetch(r.Blob(desc), 1, 2); got != "bc" || at != 1 || err != nil {
		t.Errorf("%q from %d, %v", got, at, err)
	}
	if n := fake.Count("", ""); n != 0 {
		t.Errorf("%d requests for embedded content", n)
	}
	desc.Data = []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	if got, _, err := fetch(r.Blob(desc), 1, 2); got != "bc" || err != nil {
		t.Errorf("data that doesn't match: %q, %v", got, err)
	}
	if n := fake.Count("GET", "/blobs/"); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func ranged(req *http.Request) bool { return req.Header.Get("Range") != "" }

func TestFetchAcceptsUnknownTotal(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Header: map[string]string{"Content-Range": "bytes 3-6/*"}})
	if got, at, err := fetch(repo(t, fake, Options{}).Blob(desc), 3, 4); got != "defg" || at != 3 || err != nil {
		t.Errorf("%q from %d, %v", got, at, err)
	}
}

// A body that always breaks off goes on where it did, as long as that gets it
// anywhere.
func TestFetchTruncated(t *testing.T) {
	for _, off := range []int64{0, 3} {
		fake := fakeregistry.New()
		desc := fake.AddBlob("app", alphabet)
		blob := repo(t, fake, Options{}).Blob(desc)
		remove := fake.Inject(fakeregistry.Fault{Cut: true, CutAt: 5})
		got, at, err := fetch(blob, off, 26-off)
		if want := string(alphabet[off:]); got != want || at != off || err != nil {
			t.Errorf("from %d: %q from %d, %v; want %q", off, got, at, err, want)
		}
		for i, request := range fake.Requests() {
			want := fmt.Sprintf("bytes=%d-25", off+5*int64(i))
			if off+int64(i) == 0 {
				want = ""
			}
			if got := request.Header.Get("Range"); got != want {
				t.Errorf("from %d: Range %q, want %q", off, got, want)
			}
		}
		remove()
		fake.Inject(fakeregistry.Fault{Cut: true})
		_, _, err = fetch(blob, off, 26-off)
		if err != io.ErrUnexpectedEOF { //nolint:errorlint // as io.ReadFull compares it
			t.Errorf("from %d: error %v, want io.ErrUnexpectedEOF itself", off, err)
		}
	}
}

// A body that doesn't say how long it is may end early without any error of
// HTTP's.
func TestFetchShortWithoutLength(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Body: []byte("x"), Header: map[string]string{"Content-Length": ""}, Drip: 1})
	got, _, err := fetch(repo(t, fake, Options{}).Blob(desc), 3, 20)
	wantIs(t, err, io.ErrUnexpectedEOF)
	if got != "xxxxxx" { // one of each attempt
		t.Errorf("%q", got)
	}
}

// A body that is longer than it says, or doesn't say how long it is, never
// gives more than was asked for.
func TestFetchOverlong(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{
		Body:   bytes.Repeat([]byte("x"), 10_000),
		Status: http.StatusPartialContent,
		Header: map[string]string{"Content-Range": "bytes 3-6/26", "Content-Length": ""},
	})
	if got, _, err := fetch(repo(t, fake, Options{}).Blob(desc), 3, 4); got != "xxxx" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFetchAfterTokenExpired(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("alice", "secret", "", false)
	desc := fake.AddBlob("app", alphabet)
	blob := repo(t, fake, Options{Username: "alice", Password: "secret"}).Blob(desc)
	if got, _, err := fetch(blob, 0, 4); got != "abcd" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if got, _, err := fetch(blob, 4, 4); got != "efgh" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if n := fake.Count("", "/token"); n != 1 {
		t.Errorf("%d tokens for two reads, want 1", n)
	}
	if n := fake.Count("GET", "/blobs/"); n != 3 {
		t.Errorf("%d requests for two reads, want 3: only the first is without a token", n)
	}
	fake.ExpireTokens()
	fake.Reset()
	if got, at, err := fetch(blob, 8, 4); got != "ijkl" || at != 8 || err != nil {
		t.Errorf("after the token expired: %q from %d, %v", got, at, err)
	}
	if n := fake.Count("", "/token"); n != 1 {
		t.Errorf("%d tokens, want 1", n)
	}
	for _, request := range fake.Matching("GET", "/blobs/") {
		if got := request.Header.Get("Range"); got != "bytes=8-11" {
			t.Errorf("Range %q after the token expired", got)
		}
	}
}

func TestFetchDenied(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("alice", "secret", "", false)
	desc := fake.AddBlob("app", alphabet)
	_, _, err := fetch(repo(t, fake, Options{}).Blob(desc), 0, 4)
	wantStatus(t, err, 401)
	_, _, err = fetch(repo(t, fake, Options{Username: "alice", Password: "guess"}).Blob(desc), 0, 4)
	wantStatus(t, err, 401)
	if strings.Contains(err.Error(), "guess") {
		t.Errorf("error %v holds the password", err)
	}
}

func TestFetchMissing(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddRepositories("app")
	missing := ocispec.Descriptor{Digest: digest.FromBytes(alphabet), Size: 26}
	_, _, err := fetch(repo(t, fake, Options{}).Blob(missing), 0, 4)
	wantIs(t, err, errdef.ErrNotFound)
	missing.Digest = "sha256:../../x"
	_, _, err = fetch(repo(t, fake, Options{}).Blob(missing), 0, 4)
	wantIs(t, err, errdef.ErrInvalidReference)
}

func TestFetchInterruptedInTheBody(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Hang: true, CutAt: 2})
	ctx, cancel := context.WithCancel(t.Context())
	body, _, err := repo(t, fake, Options{}).Blob(desc).Fetch(ctx, 0, 26, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = body.Read(make([]byte, 1))
	wantIs(t, err, context.Canceled)
}

func TestFetchStalls(t *testing.T) {
	for name, test := range map[string]struct {
		fault fakeregistry.Fault
		got   string
	}{
		"before the answer": {fakeregistry.Fault{Stall: true}, ""},
		"in the body":       {fakeregistry.Fault{Hang: true, CutAt: 1}, "ab"}, // what two attempts gave
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := fakeregistry.New()
			desc := fake.AddBlob("app", alphabet)
			r := repo(t, fake, Options{Timeout: answerTimeout})
			remove := fake.Inject(test.fault)
			got, _, err := fetch(r.Blob(desc), 0, 4)
			wantIs(t, err, context.DeadlineExceeded)
			if got != test.got || errors.Is(err, context.Canceled) {
				t.Errorf("%q, %v; want %q", got, err, test.got)
			}
			remove()
			untilUp(r)
			if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
				t.Errorf("afterwards: %q, %v", got, err)
			}
		})
	}
}

// untilUp returns once a repository's registry isn't down.
func untilUp(r *Repository) {
	for h := hostOf(r); !h.plain(); {
		time.Sleep(time.Millisecond)
	}
}

// A reader that takes its time isn't a registry that stalls.
func TestFetchSlowReader(t *testing.T) {
	t.Parallel()
	fake := fakeregistry.New()
	desc := fake.AddGenerated("app", 1, 1<<20)
	body, _, err := repo(t, fake, Options{Timeout: answerTimeout}).Blob(desc).Fetch(t.Context(), 0, desc.Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	first := make([]byte, 10)
	if _, err := io.ReadFull(body, first); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * answerTimeout / 2)
	if d, err := digest.FromReader(io.MultiReader(bytes.NewReader(first), body)); d != desc.Digest || err != nil {
		t.Errorf("%s, %v; want %s", d, err, desc.Digest)
	}
	if n := fake.Count("", ""); n != 1 {
		t.Errorf("%d requests, want 1: nothing had to be repaired", n)
	}
}
