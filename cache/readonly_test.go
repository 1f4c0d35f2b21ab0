package cache

import (
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Where nothing can be written what is there is served, in silence after one
// warning, and things go on when it can be.
func TestDirectoryThatIsReadOnly(t *testing.T) {
	dir := smallDisk(t, "256m")
	small, large := newSource(random(1000, 82)), newSource(random(largeSize, 83))
	c := open(t, Options{Dir: dir})
	mustRead(t, c, small.key(), small, small.content)
	mustRead(t, c, large.key(), large, large.content)
	c.PutIndex("index", []byte("x"))
	shut(t, c)
	before := files(t, dir)
	for running, log := range map[bool]*warnings{false: {}, true: {}} {
		if running {
			c = open(t, Options{Dir: dir, Log: log.logger()})
		}
		writable := readOnly(t, dir)
		if !running {
			c = open(t, Options{Dir: dir, Log: log.logger()})
		}
		mustRead(t, c, small.key(), newSource(nil), small.content)
		mustRead(t, c, large.key(), newSource(nil), large.content)
		if data, ok := c.Index("index"); !ok || string(data) != "x" {
			t.Errorf("the index is %q", data)
		}
		for i := range uint64(3) {
			s := newSource(random(largeSize, 84+i))
			mustRead(t, c, s.key(), s, s.content)
			s = newSource(random(1000, 84+i))
			mustRead(t, c, s.key(), s, s.content)
			c.PutIndex("another", []byte("x"))
		}
		settled(c)
		if after := files(t, dir); !slices.Equal(after, before) {
			t.Errorf("running %v: written was %v", running, after)
		}
		if c.disk.mayWrite() {
			t.Errorf("running %v: it is tried again and again", running)
		}
		for range 3 {
			c.disk.failed("again", dir, unix.EROFS)
		}
		if n := log.count(); n != 1 {
			t.Errorf("running %v: %d warnings", running, n)
		}
		writable()
		c.disk.paused.Store(time.Now().UnixNano()) // the pause is over
		s := newSource(random(largeSize, 90))
		mustRead(t, c, s.key(), s, s.content)
		settled(c)
		if _, ok := c.CachedSize(s.key().Digest); !ok {
			t.Errorf("running %v: nothing is kept when it can be", running)
		}
		shut(t, c)
		if err := os.RemoveAll(c.disk.blob(s.key().Digest)); err != nil {
			t.Fatal(err)
		}
		before = files(t, dir)
	}
}

// readOnly makes a directory one that can't be written, until the returned function
// is called. Files that are open stay as they are.
func readOnly(t testing.TB, dir string) (writable func()) {
	t.Helper()
	if err := errors.Join(unix.Mount(dir, dir, "", unix.MS_BIND, ""),
		unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")); err != nil {
		t.Fatal(err)
	}
	writable = sync.OnceFunc(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(writable)
	return writable
}
