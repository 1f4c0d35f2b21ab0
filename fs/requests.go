package fs

import (
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/orasfs/orasfs/fs/images"
)

// RequestBounds are the bounds of RequestStats.Buckets.
var RequestBounds = [...]time.Duration{
	10 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

// Stats are the counters of a mount.
type Stats struct {
	Requests         []RequestStats // each operation that there was
	ReadBytes        int64          // given to the kernel
	PassthroughOpens int64          // files that the kernel reads by itself
}

// RequestStats are how requests of the kernel for one operation went.
type RequestStats struct {
	Operation string // as FUSE calls it, in lower case
	Count     uint64
	Total     time.Duration // of all of them, from the daemon's reading one to its answer
	// Buckets are how many took no longer than each of RequestBounds.
	Buckets [len(RequestBounds)]uint64
}

// An operation is one that is counted: those that a read-only file system has.
type operation int

const (
	requestLookup operation = iota
	requestGetattr
	requestReadlink
	requestOpen
	requestRead
	requestRelease
	requestOpendir
	requestReaddir
	requestReaddirplus
	requestGetxattr
	requestListxattr
	requestAccess
	requestStatfs
	operations // how many there are
)

var operationNames = [operations]string{
	"lookup", "getattr", "readlink", "open", "read", "release", "opendir", "readdir", "readdirplus", "getxattr", "listxattr", "access", "statfs",
}

// requests count the kernel's requests. A request costs two looks at the clock and three
// additions; nothing is locked or allocated.
type requests struct {
	of          [operations]durations
	readBytes   atomic.Int64
	passthrough atomic.Int64
}

// durations are how long requests took: buckets by the smallest bound that they keep, and
// those that took longer than all.
type durations struct {
	total   atomic.Int64 // nanoseconds
	buckets [len(RequestBounds) + 1]atomic.Uint64
}

func (d *durations) add(took time.Duration) {
	i := 0
	for i < len(RequestBounds) && took > RequestBounds[i] {
		i++
	}
	d.total.Add(int64(took))
	d.buckets[i].Add(1)
}

// snapshot is what was counted so far, of what there was.
func (r *requests) snapshot() Stats {
	s := Stats{ReadBytes: r.readBytes.Load(), PassthroughOpens: r.passthrough.Load()}
	for op := range r.of {
		of := RequestStats{Operation: operationNames[op], Total: time.Duration(r.of[op].total.Load())}
		for i := range r.of[op].buckets {
			of.Count += r.of[op].buckets[i].Load()
			if i < len(of.Buckets) {
				of.Buckets[i] = of.Count
			}
		}
		if of.Count > 0 {
			s.Requests = append(s.Requests, of)
		}
	}
	return s
}

// Stats are the counters of the mount now.
func (s *Server) Stats() Stats { return s.tree.requests.snapshot() }

// Indexing are the layers of which is being found out what is in them.
func (s *Server) Indexing() []images.Indexing { return s.tree.images.Indexing() }

// counted is a file system whose requests are counted. One whose handler panics isn't.
type counted struct {
	fuse.RawFileSystem
	requests *requests
}

func (c counted) ended(op operation, began time.Time) { c.requests.of[op].add(time.Since(began)) }

// Lookup implements fuse.RawFileSystem.
func (c counted) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := c.RawFileSystem.Lookup(cancel, header, name, out)
	c.ended(requestLookup, began)
	return status
}

// GetAttr implements fuse.RawFileSystem.
func (c counted) GetAttr(cancel <-chan struct{}, input *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	status := c.RawFileSystem.GetAttr(cancel, input, out)
	c.ended(requestGetattr, began)
	return status
}

// Readlink implements fuse.RawFileSystem.
func (c counted) Readlink(cancel <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	began := time.Now()
	target, status := c.RawFileSystem.Readlink(cancel, header)
	c.ended(requestReadlink, began)
	return target, status
}

// Open implements fuse.RawFileSystem.
func (c counted) Open(cancel <-chan struct{}, input *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	status := c.RawFileSystem.Open(cancel, input, out)
	c.ended(requestOpen, began)
	if out.OpenFlags&fuse.FOPEN_PASSTHROUGH != 0 {
		c.requests.passthrough.Add(1)
	}
	return status
}

// Read implements fuse.RawFileSystem.
func (c counted) Read(cancel <-chan struct{}, input *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	began := time.Now()
	result, status := c.RawFileSystem.Read(cancel, input, buf)
	c.ended(requestRead, began)
	if result != nil {
		c.requests.readBytes.Add(int64(result.Size()))
	}
	return result, status
}

// Release implements fuse.RawFileSystem.
func (c counted) Release(cancel <-chan struct{}, input *fuse.ReleaseIn) {
	began := time.Now()
	c.RawFileSystem.Release(cancel, input)
	c.ended(requestRelease, began)
}

// OpenDir implements fuse.RawFileSystem.
func (c counted) OpenDir(cancel <-chan struct{}, input *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	status := c.RawFileSystem.OpenDir(cancel, input, out)
	c.ended(requestOpendir, began)
	return status
}

// ReadDir implements fuse.RawFileSystem.
func (c counted) ReadDir(cancel <-chan struct{}, input *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	status := c.RawFileSystem.ReadDir(cancel, input, out)
	c.ended(requestReaddir, began)
	return status
}

// ReadDirPlus implements fuse.RawFileSystem.
func (c counted) ReadDirPlus(cancel <-chan struct{}, input *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	status := c.RawFileSystem.ReadDirPlus(cancel, input, out)
	c.ended(requestReaddirplus, began)
	return status
}

// GetXAttr implements fuse.RawFileSystem.
func (c counted) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	began := time.Now()
	size, status := c.RawFileSystem.GetXAttr(cancel, header, name, dest)
	c.ended(requestGetxattr, began)
	return size, status
}

// ListXAttr implements fuse.RawFileSystem.
func (c counted) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	began := time.Now()
	size, status := c.RawFileSystem.ListXAttr(cancel, header, dest)
	c.ended(requestListxattr, began)
	return size, status
}

// Access implements fuse.RawFileSystem.
func (c counted) Access(cancel <-chan struct{}, input *fuse.AccessIn) fuse.Status {
	began := time.Now()
	status := c.RawFileSystem.Access(cancel, input)
	c.ended(requestAccess, began)
	return status
}

// StatFs implements fuse.RawFileSystem.
func (c counted) StatFs(cancel <-chan struct{}, input *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	began := time.Now()
	status := c.RawFileSystem.StatFs(cancel, input, out)
	c.ended(requestStatfs, began)
	return status
}
