package fs

import (
	"os"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A told content says what it is told to.
type told struct {
	generation uint64
	verified   bool
	file       *os.File
}

func (c told) Generation() uint64 { return c.generation }
func (c told) Verified() bool     { return c.verified }
func (c told) File() *os.File     { return c.file }

// TestPages opens an inode for one content after the other.
func TestPages(t *testing.T) {
	whole := os.Stdin // any file does
	for name, c := range map[string]struct {
		first, second told
		open          bool // the first is, when the second is opened
		keeps, fails  bool // what the second is told
		passes        bool
	}{
		"the same":                        {first: told{1, false, nil}, second: told{1, false, nil}, keeps: true},
		"the same, verified by then":      {first: told{1, false, nil}, second: told{1, true, nil}, keeps: true},
		"the same, open":                  {first: told{1, false, nil}, second: told{1, false, nil}, open: true, keeps: true},
		"both verified":                   {first: told{1, true, nil}, second: told{2, true, nil}, keeps: true},
		"both verified, open":             {first: told{1, true, nil}, second: told{2, true, nil}, open: true, keeps: true},
		"another":                         {first: told{1, false, nil}, second: told{2, false, nil}},
		"another, which is verified":      {first: told{1, false, nil}, second: told{2, true, nil}},
		"another, after a verified one":   {first: told{1, true, nil}, second: told{2, false, nil}},
		"another, open":                   {first: told{1, false, nil}, second: told{2, true, nil}, open: true, fails: true},
		"another than a verified, open":   {first: told{1, true, nil}, second: told{2, false, nil}, open: true, fails: true},
		"whole on disk":                   {first: told{1, true, whole}, second: told{1, true, whole}, keeps: true, passes: true},
		"whole on disk, open":             {first: told{1, true, whole}, second: told{1, true, whole}, open: true, keeps: true, passes: true},
		"whole by then":                   {first: told{1, false, nil}, second: told{1, true, whole}, keeps: true, passes: true},
		"whole by then, open":             {first: told{1, false, nil}, second: told{1, true, whole}, open: true, keeps: true},
		"not whole any more":              {first: told{1, true, whole}, second: told{1, true, nil}, keeps: true},
		"not whole any more, open":        {first: told{1, true, whole}, second: told{1, true, nil}, open: true, fails: true},
		"whole, after an unverified one":  {first: told{1, false, nil}, second: told{2, true, whole}, passes: true},
		"whole, beside an unverified one": {first: told{1, false, nil}, second: told{2, true, whole}, open: true, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &tree{spent: newSpent(), passthrough: true}
			id := fusefs.StableAttr{Ino: 7, Gen: 1}
			p := &pages{id: id}
			if how, _, errno := p.open(tr, id, c.first); errno != 0 || how != fuse.FOPEN_KEEP_CACHE {
				t.Fatalf("the first: %#x, %v", how, errno)
			}
			if !c.open {
				p.release(c.first)
			}
			how, file, errno := p.open(tr, id, c.second)
			if fails := errno == syscall.ESTALE; fails != c.fails || errno != 0 && !fails {
				t.Fatalf("errno %v", errno)
			}
			now := tr.spent.successor(id)
			if c.fails {
				if now.Ino != id.Ino || now.Gen == id.Gen {
					t.Errorf("its successor is %v", now)
				}
				// Whoever comes to the same inode by then doesn't spend another one.
				if _, _, errno := p.open(tr, id, c.second); errno != syscall.ESTALE || tr.spent.successor(id) != now {
					t.Errorf("%v, and the successor is %v", errno, tr.spent.successor(id))
				}
				return
			}
			if now != id {
				t.Errorf("it is spent: %v", now)
			}
			if keeps := how&fuse.FOPEN_KEEP_CACHE != 0; keeps != c.keeps {
				t.Errorf("the pages are kept: %v", keeps)
			}
			if passes := file != nil; passes != c.passes {
				t.Errorf("the kernel reads the file itself: %v", passes)
			}
		})
	}
}

// A content that is verified when the last handle goes stays so for the next one.
func TestPagesVerifiedMeanwhile(t *testing.T) {
	tr := &tree{spent: newSpent()}
	p := &pages{}
	if _, _, errno := p.open(tr, p.id, told{generation: 1}); errno != 0 {
		t.Fatal(errno)
	}
	p.release(told{generation: 1, verified: true})
	if how, _, _ := p.open(tr, p.id, told{generation: 2, verified: true}); how != fuse.FOPEN_KEEP_CACHE {
		t.Errorf("%#x", how)
	}
}
