package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A trouble is a fault of a registry, and what a reader is to see of it.
type trouble struct {
	name  string
	fault fakeregistry.Fault // whatever is fetched meets it, unless Times says how often
	// ranged is how the first read of all of the blob ends where the registry serves
	// ranges, whole where it doesn't. nil is that the fault is overcome.
	ranged, whole error
	lasting       bool // it is remembered for minutes
}

// errReset is what errors are compared with, besides those that others define.
var errReset = errors.New("a lost connection")

// An answer is the error of an answer with that status.
type answer int

func (a answer) Error() string { return http.StatusText(int(a)) }

func troubles() []trouble {
	const middle = largeSize / 2
	var (
		late        = context.DeadlineExceeded
		after       = func(s string) map[string]string { return map[string]string{"Retry-After": s} }
		another     = "bytes=1-262144"
		anotherTold = map[string]string{"Content-Range": fmt.Sprintf("bytes 1-2/%d", largeSize)}
		noneTold    = map[string]string{"Content-Range": ""}
	)
	return []trouble{
		{name: "nothing"},
		{name: "cut once", fault: fakeregistry.Fault{Cut: true, CutAt: 100_000, Times: 1}},
		{name: "cut each time", fault: fakeregistry.Fault{Cut: true, CutAt: 600_000}, whole: io.ErrUnexpectedEOF},
		{name: "cut before the first byte", fault: fakeregistry.Fault{Cut: true}, ranged: io.ErrUnexpectedEOF, whole: io.ErrUnexpectedEOF},
		{name: "stalls once", fault: fakeregistry.Fault{Stall: true, Times: 1}},
		{name: "stalls", fault: fakeregistry.Fault{Stall: true}, ranged: late, whole: late},
		{name: "stalls in the body once", fault: fakeregistry.Fault{Hang: true, CutAt: 100_000, Times: 1}},
		{name: "stalls in the body", fault: fakeregistry.Fault{Hang: true, CutAt: 5}, ranged: late, whole: late},
		{name: "drips once", fault: fakeregistry.Fault{Drip: 5 * time.Millisecond, Times: 1}},
		{name: "drips", fault: fakeregistry.Fault{Drip: 5 * time.Millisecond}, ranged: late, whole: late},
		{name: "reset twice", fault: fakeregistry.Fault{Reset: true, Times: 2}},
		{name: "reset", fault: fakeregistry.Fault{Reset: true}, ranged: errReset, whole: errReset},
		{name: "429 once", fault: fakeregistry.Fault{Status: 429, Times: 1}},
		{name: "429 for a second", fault: fakeregistry.Fault{Status: 429, Header: after("1"), Times: 1}},
		{name: "429", fault: fakeregistry.Fault{Status: 429}, ranged: answer(429), whole: answer(429)},
		{name: "429 for an hour", fault: fakeregistry.Fault{Status: 429, Header: after("3600")}, ranged: answer(429), whole: answer(429), lasting: true},
		{name: "503 twice", fault: fakeregistry.Fault{Status: 503, Times: 2}},
		{name: "500", fault: fakeregistry.Fault{Status: 500}, ranged: answer(500), whole: answer(500)},
		// The whole is asked for where a range is another, or none is told.
		{name: "wrong range once", fault: fakeregistry.Fault{Range: another, If: asksFromStart, Times: 1}},
		{name: "wrong range", fault: fakeregistry.Fault{Range: another}},
		{name: "wrong range told", fault: fakeregistry.Fault{Header: anotherTold}},
		{name: "no range told once", fault: fakeregistry.Fault{Header: noneTold, If: asksFromStart, Times: 1}},
		{name: "no range told", fault: fakeregistry.Fault{Header: noneTold}},
		{name: "lies once", fault: fakeregistry.Fault{Flip: true, FlipAt: 100_000, If: asksFromStart, Times: 1}, ranged: cache.ErrDigest, whole: cache.ErrDigest},
		{name: "lies", fault: fakeregistry.Fault{Flip: true, FlipAt: middle}, ranged: cache.ErrDigest, whole: cache.ErrDigest, lasting: true},
	}
}

// A way is where bytes come from and what they pass.
type way struct {
	ranges bool // the registry serves them
	disk   disk
}

type disk int

const (
	working disk = iota
	none
	full
	readOnly
)

func (d disk) String() string {
	return [...]string{"disk", "no disk", "full disk", "read-only disk"}[d]
}

// options are of a cache on such a disk. Only without one the blob fits into
// memory: else it is the disk that is tested.
func (d disk) options(t *testing.T) cache.Options {
	t.Helper()
	o := cache.Options{Memory: 1 << 20}
	switch d {
	case working:
		o.Dir = t.TempDir()
	case none:
		o.Memory = 32 << 20
	case full:
		o.Dir = smallDisk(t, "2m")
	case readOnly:
		o.Dir = smallDisk(t, "2m")
		if err := unix.Mount("tmpfs", o.Dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// keeps is whether all of what was read once is there for the next reader.
func (d disk) keeps() bool { return d == working || d == none }

// smallDisk is a directory on a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("a small file system can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFaultsAndWays reads a large blob through every fault on every way: what comes
// is right, or an error of the kind that fits, within twice the timeout; and all is
// well once the fault is gone. The short form, for the race detector, has every
// fault meet one disk with ranges and another without.
func TestFaultsAndWays(t *testing.T) {
	disks := []disk{working, none, full, readOnly}
	for i, trouble := range troubles() {
		for k, ranges := range []bool{true, false} {
			for j, disk := range disks {
				if testing.Short() && j != (i+k)%len(disks) {
					continue
				}
				t.Run(fmt.Sprintf("%s, ranges %v, %s", trouble.name, ranges, disk), func(t *testing.T) {
					t.Parallel()
					trouble.meet(t, way{ranges, disk})
				})
			}
		}
	}
}

func (x trouble) meet(t *testing.T, w way) {
	fake, host := serveLarge(t)
	fault := x.fault
	fault.Path, fault.IgnoreRange = "/blobs/", !w.ranges
	remove := fake.Inject(fault)
	fake.Inject(fakeregistry.Fault{IgnoreRange: !w.ranges})
	first := x.whole
	if w.ranges {
		first = x.ranged
	}
	later := first
	if x.fault.Times > 0 {
		later = nil
	}
	o := w.disk.options(t)
	s := newStack(t, host, x.patience(first, later), o)
	x.expect(t, s, "all of it", 0, largeSize, first)
	fetched := s.cache.Stats().FetchedBytes
	x.expect(t, s, "a piece", largeSize/2+12345, 128<<10, later)
	x.expect(t, s, "all of it again", 0, largeSize, later)
	if n := s.cache.Stats().FetchedBytes - fetched; first == nil && w.disk.keeps() && n > 0 {
		t.Errorf("%d bytes of what was read are fetched again", n)
	}

	remove()
	if !x.lasting {
		s.recovers(t)
	}
	s.close()
	if !x.lasting && w.disk != working {
		return // nobody remembers anything
	}
	s = newStack(t, host, ample, o)
	if right, err := s.read(t, 0, largeSize); !right || err != nil {
		t.Errorf("a cache that is opened after that: right bytes %v, error %v", right, err)
	}
	if n := s.cache.Stats().Fetches; !x.lasting && n > 0 {
		t.Errorf("the registry is asked %d times for what is on disk", n)
	}
}

// ample is a timeout with which nothing is late, however busy the machine is.
const ample = 30 * time.Second

// patience is a timeout with which a busy machine doesn't take for a fault what is
// none, and with which the test takes no longer than that needs.
func (x trouble) patience(first, later error) time.Duration {
	f := x.fault
	switch {
	case (f.Stall || f.Hang || f.Drip > 0) && f.Times > 0:
		return 10 * time.Second // it is waited for once, and the rest comes then
	case later == nil, errors.Is(first, cache.ErrDigest):
		return ample
	case errors.Is(first, context.DeadlineExceeded):
		return 3 * time.Second // whatever is late is this error, and what comes after the fault isn't
	}
	return 5 * time.Second // all retries fit into it
}

// expect reads a part of the blob, which has to end with an error of that kind.
func (x trouble) expect(t *testing.T, s *stack, what string, off, n int64, kind error) {
	t.Helper()
	right, err := s.read(t, off, n)
	// What fails each time may be late on a busy machine, but not each time.
	for tries := 1; kind != nil && x.fault.Times == 0 && tries < 15 && errors.Is(err, context.DeadlineExceeded) && !isKind(err, kind); tries++ {
		time.Sleep(2 * time.Second) // which is longer than that is remembered
		right, err = s.read(t, off, n)
	}
	if !isKind(err, kind) {
		t.Errorf("%s: error %v, want %v", what, err, kind)
	}
	// A part of what isn't verified yet may be wrong, all of it never is.
	if !right && (err == nil || !x.fault.Flip) {
		t.Errorf("%s: wrong bytes", what)
	}
}

// recovers waits until all of the blob can be read: a host that was down is found
// to be up in a second or so. What a busy machine takes comes on top.
func (s *stack) recovers(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		switch right, err := s.read(t, 0, largeSize); {
		case !right:
			t.Fatalf("wrong bytes after the fault, error %v", err)
		case err == nil:
			return
		case time.Now().After(end):
			t.Fatalf("long after the fault: %v", err)
		}
	}
}

// isKind tells whether err is of that kind; nil is no error.
func isKind(err, kind error) bool {
	var status answer
	var response *errcode.ErrorResponse
	switch {
	case kind == nil || err == nil:
		return err == nil && kind == nil
	case errors.As(kind, &status):
		return errors.As(err, &response) && response.StatusCode == int(status)
	case errors.Is(kind, errReset):
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
	}
	return errors.Is(err, kind)
}
