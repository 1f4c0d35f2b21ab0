package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// What Fetch promises, for every fault and for a registry with and without
// ranges: bytes that are exact or an error of that kind, in bounded time, in so
// many requests.
func TestFetchPromises(t *testing.T) {
	const size, off, n = 100_000, 30_000, 60_000
	after := func(s string) map[string]string { return map[string]string{"Retry-After": s} }
	tests := []struct {
		name   string
		fault  fakeregistry.Fault
		err    error // nil is success; errStatus any answer
		ranged bool  // only where there are ranges
		most   int   // requests
	}{
		{name: "nothing", most: 1},
		{name: "cut once", fault: fakeregistry.Fault{Cut: true, CutAt: 20_000, Times: 1}, most: 2},
		{name: "cut every time", fault: fakeregistry.Fault{Cut: true, CutAt: 20_000}, ranged: true, most: 4},
		{name: "cut before the first byte", fault: fakeregistry.Fault{Cut: true}, err: io.ErrUnexpectedEOF, most: 6},
		{name: "hangs in the body once", fault: fakeregistry.Fault{Hang: true, CutAt: 20_000, Times: 1}, most: 2},
		{name: "hangs in the body", fault: fakeregistry.Fault{Hang: true, CutAt: 5}, err: context.DeadlineExceeded, most: 2},
		{name: "stalls once", fault: fakeregistry.Fault{Stall: true, Times: 1}, most: 2},
		{name: "stalls", fault: fakeregistry.Fault{Stall: true}, err: context.DeadlineExceeded, most: 2},
		{name: "drips", fault: fakeregistry.Fault{Drip: 5 * time.Millisecond}, err: context.DeadlineExceeded, most: 2},
		{name: "drips once", fault: fakeregistry.Fault{Drip: 5 * time.Millisecond, Times: 1}, most: 2},
		{name: "reset twice", fault: fakeregistry.Fault{Reset: true, Times: 2}, most: 3},
		{name: "reset", fault: fakeregistry.Fault{Reset: true}, err: errReset, most: 6},
		{name: "429 once", fault: fakeregistry.Fault{Status: 429, Times: 1}, most: 2},
		{name: "429", fault: fakeregistry.Fault{Status: 429}, err: errStatus, most: 6},
		{name: "429 for an hour", fault: fakeregistry.Fault{Status: 429, Header: after("3600")}, err: errStatus, most: 1},
		{name: "429 for no time", fault: fakeregistry.Fault{Status: 429, Header: after("0"), Times: 1}, most: 2},
		{name: "500 once", fault: fakeregistry.Fault{Status: 500, Times: 1}, most: 2},
		{name: "502", fault: fakeregistry.Fault{Status: 502}, err: errStatus, most: 6},
		{name: "wrong range", fault: fakeregistry.Fault{Status: 206, Header: map[string]string{"Content-Range": "bytes 1-2/100000"}, Body: []byte("xx")}, err: errAny, most: 2},
		{name: "500", fault: fakeregistry.Fault{Status: 500}, err: errStatus, most: 7},
		{name: "another size", fault: fakeregistry.Fault{Status: 206, Header: map[string]string{"Content-Range": "bytes 30000-89999/100001"}}, err: errSize, most: 1},
		{name: "wrong bytes", fault: fakeregistry.Fault{Flip: true, FlipAt: off + 1}, most: 1},
	}
	for _, test := range tests {
		for _, ranges := range []bool{true, false} {
			if test.ranged && !ranges {
				continue
			}
			t.Run(fmt.Sprintf("%s, ranges %v", test.name, ranges), func(t *testing.T) {
				t.Parallel()
				fake := fakeregistry.New()
				desc := fake.AddGenerated("app", 1, size)
				fault := test.fault
				fault.IgnoreRange = !ranges
				fake.Inject(fault)
				fake.Inject(fakeregistry.Fault{IgnoreRange: !ranges})
				var o Options
				switch late := fault.Stall || fault.Hang || fault.Drip > 0; {
				case late && fault.Times > 0:
					o.Timeout = answerTimeout
				case late:
					o.Timeout = shortTimeout
				}
				blob := repo(t, fake, o).Blob(desc)
				began := time.Now()
				body, whole, err := blob.Fetch(t.Context(), off, n, nil)
				if took := time.Since(began); took > 2*time.Minute {
					t.Errorf("Fetch took %s", took)
				}
				length := int64(n)
				if err == nil && !ranges {
					length = size
				}
				if err == nil && whole == ranges {
					t.Errorf("the whole blob: %v", whole)
				}
				at := int64(off)
				if whole {
					at = 0
				}
				var got []byte
				for err == nil {
					p := make([]byte, 10_000)
					began := time.Now()
					var m int
					m, err = body.Read(p)
					got = append(got, p[:m]...)
					if took := time.Since(began); took > 2*time.Minute {
						t.Errorf("a Read took %s", took)
					}
				}
				if errors.Is(err, io.EOF) {
					err = nil
				}
				if !isKind(err, test.err) {
					t.Errorf("error %v, want %v", err, test.err)
				}
				want := make([]byte, len(got))
				_, _ = fakeregistry.Generated(1, size).ReadAt(want, at)
				if test.fault.Flip {
					want[off+1-at] ^= 0xff
				}
				if string(got) != string(want) || err == nil && int64(len(got)) != length {
					t.Errorf("%d bytes, want %d", len(got), length)
				}
				if n := fake.Count("", "/blobs/"); n > test.most {
					t.Errorf("%d requests, want at most %d", n, test.most)
				}
			})
		}
	}
}

var (
	errStatus = errors.New("an answer's status")
	errReset  = errors.New("a lost connection")
	errSize   = errors.New("another size")
	errAny    = errors.New("any error")
)

// isKind tells whether err is of that kind; nil is no error.
func isKind(err, kind error) bool {
	switch {
	case kind == nil || err == nil:
		return err == nil && kind == nil
	case errors.Is(kind, errStatus):
		return statusOf(err) != 0
	case errors.Is(kind, errReset):
		return brokenOff(err)
	case errors.Is(kind, errSize):
		return errors.As(err, new(*SizeError))
	case errors.Is(kind, errAny):
		return true
	}
	return errors.Is(err, kind)
}

func TestFetchTellsTheSize(t *testing.T) {
	for _, fault := range []fakeregistry.Fault{{}, {IgnoreRange: true}} {
		fake := fakeregistry.New()
		desc := fake.AddBlob("app", alphabet)
		fake.Inject(fault)
		desc.Size = 19 // a HEAD said so
		_, _, err := fetch(repo(t, fake, Options{}).Blob(desc), 3, 4)
		var size *SizeError
		if !errors.As(err, &size) || *size != (SizeError{desc.Digest, 19, 26}) {
			t.Errorf("error %v", err)
		}
	}
}

// A byte now and then isn't progress, however long it goes on.
func TestFetchDripIsAStall(t *testing.T) {
	t.Parallel()
	fake := fakeregistry.New()
	desc := fake.AddGenerated("app", 1, 1<<20)
	fake.Inject(fakeregistry.Fault{Drip: 20 * time.Millisecond})
	got, _, err := fetch(repo(t, fake, Options{Timeout: shortTimeout}).Blob(desc), 0, desc.Size)
	wantIs(t, err, context.DeadlineExceeded)
	if len(got) > 1000 {
		t.Errorf("%d bytes", len(got))
	}
}

// A Read that waits returns when the body is closed.
func TestFetchClosedInARead(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	fake.Inject(fakeregistry.Fault{Hang: true, CutAt: 1})
	// The Read would go on until one of these, and Close would wait for it.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	body, _, err := repo(t, fake, Options{Timeout: time.Hour}).Blob(desc).Fetch(ctx, 0, 26, nil)
	if err != nil {
		t.Fatal(err)
	}
	reading := make(chan struct{})
	read := make(chan error)
	go func() {
		_, err := io.ReadFull(body, make([]byte, 1))
		close(reading)
		if err == nil {
			_, err = io.ReadAll(body)
		}
		read <- err
	}()
	<-reading
	time.Sleep(10 * time.Millisecond)
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; err == nil {
		t.Error("no error")
	}
	if err := ctx.Err(); err != nil {
		t.Errorf("Close waits for the Read: %v", err)
	}
	if _, err := body.Read(make([]byte, 1)); err == nil {
		t.Error("a closed body is read")
	}
	if n := fake.Count("GET", "/blobs/"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// A body that breaks off more often than a request is sent again goes on, as long as
// each brings it further.
func TestFetchGoesOnWithProgress(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddGenerated("app", 5, 10*(minProgress+100))
	fake.Inject(fakeregistry.Fault{Cut: true, CutAt: minProgress + 100})
	r := repo(t, fake, Options{})
	r.registry.backoff = time.Millisecond
	got, _, err := fetch(r.Blob(desc), 0, desc.Size)
	if digest.FromString(got) != desc.Digest || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := fake.Count("", ""); n != 10 {
		t.Errorf("%d requests, want 10", n)
	}
}

// A target that breaks off in the body isn't asked for the rest: the registry
// may know a better one.
func TestFetchResumesAtTheRegistry(t *testing.T) {
	r := redirect(t)
	desc := r.fake.AddGenerated("app", 3, 1<<20)
	if _, _, err := fetch(r.repo.Blob(desc), 0, 4); err != nil {
		t.Fatal(err)
	}
	r.cdn.Inject(fakeregistry.Fault{Cut: true, CutAt: 500_000, Times: 1})
	r.fake.Reset()
	r.cdn.Reset()
	body, _, err := r.repo.Blob(desc).Fetch(t.Context(), 0, desc.Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := r.fake.NewCDN()
	r.fake.RedirectBlobs(other, "http://"+serve(t, other))
	r.cdn.Inject(fakeregistry.Fault{Status: http.StatusForbidden})
	if d, err := digest.FromReader(body); d != desc.Digest || err != nil {
		t.Errorf("%s, %v", d, err)
	}
	if n, m := r.fake.Count("GET", "/blobs/"), other.Count("", ""); n != 1 || m != 1 {
		t.Errorf("the registry was asked %d times, the other target %d, want 1 and 1", n, m)
	}
	if n := r.cdn.Count("", ""); n != 1 {
		t.Errorf("the target that broke off was asked %d times, want 1", n)
	}
	r.noSecrets(t, nil)
}

// Who asks for the beginning and is sent everything is told: it needn't ask again.
func TestFetchTellsThatTheWholeBlobCame(t *testing.T) {
	for i, fault := range []fakeregistry.Fault{
		{IgnoreRange: true}, {Range: "all"}, {Status: http.StatusRequestedRangeNotSatisfiable, Times: 1}, {},
	} {
		fake := fakeregistry.New()
		desc := fake.AddGenerated("app", 1, 3<<20)
		if fault.Range != "" {
			fault.Range = fmt.Sprintf("bytes=0-%d", desc.Size-1)
		}
		fake.Inject(fault)
		body, whole, err := repo(t, fake, Options{}).Blob(desc).Fetch(t.Context(), 0, 10, nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		if err != nil || whole == (i == 3) || whole != (n == desc.Size) || !whole && n != 10 {
			t.Errorf("%+v: %d bytes, the whole blob: %v, %v", fault, n, whole, err)
		}
		_ = body.Close()
	}
}
