package fs

import (
	"os"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A content is where the bytes of an inode come from: a [cache.Blob], or what is
// in an archive that isn't checked part by part.
type content interface {
	Generation() uint64
	Verified() bool
	File() *os.File
}

// pages is what the kernel may keep of one inode: the pages that earlier opens were
// given.
//
// The rule: all pages of an inode are of one content. A large blob that turned out
// to be wrong and is fetched again is another content, another generation of it.
// A program that got pages of the first and went on with the second would have
// read everything, without an error, and partly wrong.
//
// So the pages stay as long as the generation does, or if both were verified, which
// are the same bytes. Else they go when the inode is opened by nobody; and as long
// as somebody has it open, it is spent: who opens the file gets ESTALE, on which
// the kernel looks the name up again, and finds another inode (see spent).
//
// That pages go is never left to an open while others read: the kernel would wait
// for their reads, and so for a registry, where no signal is heard.
type pages struct {
	id fusefs.StableAttr // of the inode, were it never spent

	mu         sync.Mutex // guards what follows
	generation uint64     // of the content that the pages are of; 0 is none yet
	verified   bool       // that content was
	handles    int        // open now
	passed     bool       // those are read by the kernel from the cache's disk
}

// open says how the inode is opened for a content: as a file of the cache's disk, or
// by what go-fuse tells the kernel. The handle is released later.
func (p *pages) open(t *tree, id fusefs.StableAttr, c content) (how uint32, file *os.File, errno syscall.Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	generation, verified := c.Generation(), c.Verified()
	same := p.generation == 0 || p.generation == generation || p.verified && verified
	if !same && p.handles > 0 {
		t.spent.spend(p.id, id)
		return 0, nil, syscall.ESTALE
	}
	if p.handles == 0 {
		p.passed = false
	}
	// The kernel takes one kind of handles on an inode at a time.
	if t.passthrough && (p.handles == 0 || p.passed) {
		file = c.File()
	}
	if file == nil && p.passed {
		t.spent.spend(p.id, id)
		return 0, nil, syscall.ESTALE
	}
	p.generation, p.verified, p.passed = generation, verified, file != nil
	p.handles++
	if same {
		how = fuse.FOPEN_KEEP_CACHE
	}
	return how, file, 0
}

// release ends a handle that open opened.
func (p *pages) release(c content) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handles--
	if p.generation == c.Generation() && c.Verified() {
		p.verified = true
	}
}

// maxSpent bounds the inodes that are remembered for being spent.
const maxSpent = 4096

// spent are the inodes of blobs that have pages of a content which was wrong, and
// that somebody has open. A file whose inode is spent has another one, with the
// same number and a higher generation.
type spent struct {
	mu    sync.Mutex // guards times
	times *simplelru.LRU[fusefs.StableAttr, uint64]
}

func newSpent() *spent {
	times, err := simplelru.NewLRU[fusefs.StableAttr, uint64](maxSpent, nil)
	if err != nil {
		panic(err) // a constant positive size can't fail
	}
	return &spent{times: times}
}

// successor is the identity that an inode has now.
func (s *spent) successor(id fusefs.StableAttr) fusefs.StableAttr {
	s.mu.Lock()
	defer s.mu.Unlock()
	times, _ := s.times.Get(id)
	id.Gen += times
	return id
}

// spend gives the inode another identity than the one it has.
func (s *spent) spend(id, now fusefs.StableAttr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	times, _ := s.times.Get(id)
	if now.Gen == id.Gen+times {
		s.times.Add(id, times+1)
	}
}
