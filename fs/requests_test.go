package fs

import (
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A slowFS answers reads with some bytes, and opens with passthrough.
type slowFS struct{ fuse.RawFileSystem }

func (slowFS) Read(_ <-chan struct{}, _ *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	return fuse.ReadResultData(buf), fuse.OK
}

func (slowFS) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Flags == 1 {
		out.OpenFlags = fuse.FOPEN_PASSTHROUGH
	}
	return fuse.OK
}

func (slowFS) StatFs(<-chan struct{}, *fuse.InHeader, *fuse.StatfsOut) fuse.Status {
	time.Sleep(2 * time.Millisecond) // or more
	return fuse.OK
}

// Each request is counted under its operation, with what it took.
func TestRequestsAreCounted(t *testing.T) {
	var r requests
	c := counted{slowFS{fuse.NewDefaultRawFileSystem()}, &r}
	buf := make([]byte, 100)
	for range 3 {
		c.Read(nil, nil, buf)
	}
	c.Open(nil, &fuse.OpenIn{}, &fuse.OpenOut{})
	c.Open(nil, &fuse.OpenIn{Flags: 1}, &fuse.OpenOut{})
	c.StatFs(nil, nil, nil)
	c.Lookup(nil, nil, "x", nil)
	c.GetAttr(nil, nil, nil)
	c.Readlink(nil, nil)
	c.Release(nil, nil)
	c.OpenDir(nil, nil, nil)
	c.ReadDir(nil, nil, nil)
	c.ReadDirPlus(nil, nil, nil)
	c.GetXAttr(nil, nil, "", nil)
	c.ListXAttr(nil, nil, nil)
	c.Access(nil, nil)
	s := r.snapshot()
	if s.ReadBytes != 300 || s.PassthroughOpens != 1 {
		t.Errorf("%d bytes were read, %d files opened with passthrough", s.ReadBytes, s.PassthroughOpens)
	}
	if len(s.Requests) != int(operations) {
		t.Errorf("%d operations, not %d", len(s.Requests), operations)
	}
	for _, of := range s.Requests {
		want := map[string]uint64{"read": 3, "open": 2}[of.Operation]
		if of.Count != max(want, 1) {
			t.Errorf("%s: %d requests", of.Operation, of.Count)
		}
		if of.Operation == "statfs" && (of.Total < 2*time.Millisecond || of.Buckets[4] != 0) {
			t.Errorf("a slow one took %s, and is among those that took no longer than %s", of.Total, RequestBounds[4])
		}
	}
}

// Counting allocates nothing.
func TestCountingAllocatesNothing(t *testing.T) {
	var r requests
	plain := fuse.RawFileSystem(slowFS{fuse.NewDefaultRawFileSystem()})
	c := fuse.RawFileSystem(counted{plain, &r})
	buf := make([]byte, 100)
	var result fuse.ReadResult
	before := testing.AllocsPerRun(100, func() { result, _ = plain.Read(nil, nil, buf) })
	if n := testing.AllocsPerRun(100, func() { result, _ = c.Read(nil, nil, buf) }); n != before || result == nil {
		t.Errorf("a read allocates %f times, without counting %f", n, before)
	}
}

// A request is in all buckets whose bound it keeps, and one that is longer than all is
// counted all the same.
func TestDurations(t *testing.T) {
	var r requests
	for _, took := range []time.Duration{0, RequestBounds[3], RequestBounds[3] + 1, time.Hour} {
		r.of[requestRead].add(took)
	}
	s := r.snapshot().Requests[0]
	if s.Count != 4 || s.Buckets[0] != 1 || s.Buckets[3] != 2 || s.Buckets[4] != 3 || s.Buckets[len(s.Buckets)-1] != 3 || s.Total < time.Hour {
		t.Errorf("counted: %+v", s)
	}
}
