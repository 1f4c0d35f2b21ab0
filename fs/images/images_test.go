package images

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
)

// A tree is made once, and once more only from the disk.
func TestTreeIsKept(t *testing.T) {
	w := newWorkplace(t, 0)
	low, top := newBlob(gzipOf(t, tarOf(t, named{"a", "1"}, named{"b", "1"}))), newBlob(gzipOf(t, tarOf(t, named{"b", "2"})))
	for range 3 {
		m := w.image("app", low, top)
		tree, err := m.Tree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"a": "1", "b": "2"} {
			n, ok := tree.At(name)
			if !ok || content(t, m, tree, n) != want {
				t.Errorf("%s isn't %q", name, want)
			}
		}
		if tree.Provisional() {
			t.Error("it is provisional")
		}
	}
	if low.opened.Load() != 1 || top.opened.Load() != 1 {
		t.Errorf("the layers were opened %d and %d times", low.opened.Load(), top.opened.Load())
	}
	// Another mount with the same disk opens a layer when a file of it is read.
	again := newWorkplace(t, 0)
	again.kept = w.kept
	read := low.reads.Load() + top.reads.Load()
	m := again.image("app", low, top)
	tree, err := m.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if low.opened.Load() != 1 || low.reads.Load()+top.reads.Load() != read {
		t.Error("a tree from the disk took bytes of the layers")
	}
	if n, _ := tree.At("a"); content(t, m, tree, n) != "1" {
		t.Error("a is wrong")
	}
}

// A layer that two images have is opened once, even at the same time.
func TestSharedLayer(t *testing.T) {
	w := newWorkplace(t, 0)
	base := newBlob(large(t, 8))
	base.let(1<<20, nil)
	var group sync.WaitGroup
	for i := range 5 {
		group.Go(func() {
			m := w.image(fmt.Sprint("app", i), base, newBlob(gzipOf(t, tarOf(t, named{fmt.Sprint(i), ""}))))
			if _, err := m.Tree(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	base.let(len(base.data), nil)
	group.Wait()
	if n := base.opened.Load(); n != 1 {
		t.Errorf("it was opened %d times", n)
	}
}

// What nobody waits for ends: the rest of the layer isn't read.
func TestNobodyWaits(t *testing.T) {
	w := newWorkplace(t, 0)
	b := newBlob(large(t, 16))
	b.let(4<<20, nil)
	m := w.image("app", b)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := m.Tree(ctx)
		done <- err
	}()
	for b.reads.Load() == 0 {
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	w.running.Wait() // both goroutines have ended, though the layer never arrives
	if n := b.open.Load(); n != 0 {
		t.Errorf("the blob is open %d times", n)
	}
	b.let(len(b.data), nil)
	if _, err := m.Tree(t.Context()); err != nil {
		t.Errorf("the next one gets %v", err)
	}
}

// Who comes within the time to linger finds the opening going on.
func TestLinger(t *testing.T) {
	w := newWorkplace(t, 0)
	b, m, tree, n := w.passing(t)
	if content(t, m, tree, n) == "" {
		t.Error("nothing is in it")
	}
	b.let(len(b.data), nil)
	if _, err := m.Tree(t.Context()); err != nil {
		t.Fatal(err)
	}
	if opened := b.opened.Load(); opened != 1 {
		t.Errorf("the layer was opened %d times", opened)
	}
}

// A file that is open keeps its pass going, and ends with one that fails.
func TestFileOfAPassThatFails(t *testing.T) {
	w := newWorkplace(t, 0)
	b, m, tree, n := w.passing(t)
	f, err := m.Open(t.Context(), tree, n)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	if _, err := f.ReadAt(t.Context(), p, 0); err != nil || f.Verified() {
		t.Errorf("while the pass goes on: %v, verified %v", err, f.Verified())
	}
	wrong := errors.New("wrong bytes")
	b.let(5<<20, wrong)
	<-f.layer.done
	<-f.opening.done // later: who asks before gets its error
	if _, err := f.ReadAt(t.Context(), p, 0); !errors.Is(err, wrong) || f.Verified() {
		t.Errorf("after it: %v, verified %v", err, f.Verified())
	}
	f.Close()
	b.let(len(b.data), nil)
	tree, err = m.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.Open(t.Context(), tree, n); err != nil || !again.Verified() {
		t.Errorf("when it is right: %v", err)
	} else {
		again.Close()
	}
}

// What a layer is doesn't change: one that doesn't open isn't gone through again,
// unless its bytes may have been wrong.
func TestFailuresAreRemembered(t *testing.T) {
	for name, verified := range map[string]bool{"verified": true, "not verified": false} {
		w := newWorkplace(t, 0)
		data := gzipOf(t, tarOf(t, named{"a", noise(t, 100_000)}))
		data[len(data)/2] ^= 0xff
		b := newBlob(data[:len(data)-9])
		b.verified.Store(verified)
		m := w.image("app", b)
		for range 3 {
			if _, err := m.Tree(t.Context()); !errors.Is(err, archive.ErrFormat) {
				t.Errorf("%s: it gives %v", name, err)
			}
		}
		if opened, want := b.opened.Load(), map[bool]int64{true: 1, false: 3}[verified]; opened != want {
			t.Errorf("%s: it was opened %d times, want %d", name, opened, want)
		}
	}
}

// What is held is within its bound, however many images were looked at.
func TestHeldWithinBound(t *testing.T) {
	w := newWorkplace(t, minMemory)
	var blobs []*testBlob
	for i := range 20 {
		var files []named
		for k := range 5000 {
			files = append(files, named{fmt.Sprintf("%d/%d-%d", k%10, i, k), ""})
		}
		b := newBlob(gzipOf(t, tarOf(t, files...)))
		blobs = append(blobs, b)
		m := w.image(fmt.Sprint("app", i), b)
		tree, err := m.Tree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, _ := tree.At(fmt.Sprintf("0/%d-0", i))
		f, err := m.Open(t.Context(), tree, n)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		w.Images.mu.Lock()
		held := w.bytes
		w.Images.mu.Unlock()
		if held > w.holds {
			t.Fatalf("%d bytes are held after %d images, %d are allowed", held, i+1, w.holds)
		}
	}
	w.running.Wait()
	if len(w.trees) == 20 || w.held.Len() == 0 {
		t.Errorf("%d trees are held", len(w.trees))
	}
	if w.room.taken != 0 {
		t.Error("memory is still taken")
	}
	if lent := w.lent.Load(); lent != w.bytes {
		t.Errorf("%d bytes are lent, %d are held", lent, w.bytes)
	}
	w.end()
	if lent := w.lent.Load(); lent != 0 {
		t.Errorf("%d bytes are lent when nothing is held", lent)
	}
	for i, b := range blobs {
		if n := b.open.Load(); n != 0 {
			t.Errorf("layer %d is open %d times", i, n)
		}
	}
}

// What needs more memory than there is is refused in words.
func TestTooLargeForMemory(t *testing.T) {
	w := newWorkplace(t, minMemory)
	var files []named
	for k := range 100_000 {
		files = append(files, named{fmt.Sprint(k), ""})
	}
	_, err := w.image("app", newBlob(gzipOf(t, tarOf(t, files...)))).Tree(t.Context())
	if !errors.Is(err, archive.ErrTooLarge) || !strings.Contains(err.Error(), "MiB") {
		t.Errorf("it gives %v", err)
	}
}

// A plain tar's tree is as good as its blob: it goes with what was found wrong.
func TestPlainTarThatWasWrong(t *testing.T) {
	w := newWorkplace(t, 0)
	b := newBlob(tarOf(t, named{"a", "1"}))
	m := w.image("app", b)
	tree, err := m.Tree(t.Context())
	if err != nil || !tree.Provisional() {
		t.Fatalf("provisional %v, %v", err == nil && tree.Provisional(), err)
	}
	n, _ := tree.At("a")
	if f, err := m.Open(t.Context(), tree, n); err != nil || f.Verified() || f.Generation() != 1 {
		t.Errorf("opened: %v", err)
	} else {
		f.Close()
	}
	right := tarOf(t, named{"b", "1"})
	copy(b.data, right)
	b.generation.Store(2)
	tree, err = m.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := tree.At("b"); !ok {
		t.Error("it still shows what was wrong")
	}
	b.verified.Store(true)
	if tree.Provisional() {
		t.Error("it is provisional though its blob is verified")
	}
	if again, err := m.Tree(t.Context()); err != nil || again != tree {
		t.Errorf("another tree, %v", err)
	}
	if len(w.kept) != 0 {
		t.Error("what nothing vouches for was kept on disk")
	}
}

// What lower layers could change isn't answered before they are known.
func TestFindWaitsForLowerLayers(t *testing.T) {
	for name, c := range map[string]struct {
		low, top []named
		early    bool
	}{
		"directories with entries":    {[]named{{"usr/", ""}, {"usr/b", "low"}}, []named{{"d/", ""}, {"d/x", "top"}}, true},
		"directories without entries": {[]named{{"usr/", ""}, {"usr/b", "low"}}, []named{{"lib/b", "top"}}, false},
	} {
		w := newWorkplace(t, 0)
		low, middle, top := newBlob(gzipOf(t, tarOf(t, c.low...))), newBlob(large(t, 8)), newBlob(gzipOf(t, tarOf(t, c.top...)))
		low.let(0, nil)
		middle.let(5<<20, nil)
		m := w.image("app", low, middle, top)
		ctx, cancel := context.WithCancel(t.Context())
		found := make(chan bool, 1)
		go func() {
			_, _, ok, err := m.Find(ctx, "d/00")
			found <- ok && err == nil
		}()
		if c.early {
			if !<-found {
				t.Errorf("%s: not found", name)
			}
			cancel()
			continue
		}
		// Once the pass has shown what it came by, all there is to be seen is seen.
		for known := false; !known; {
			w.Images.mu.Lock()
			if l := w.layers[digest.FromBytes(middle.data).String()]; l != nil {
				passed, _ := l.soFar()
				known = passed != nil
			}
			w.Images.mu.Unlock()
		}
		select {
		case <-found:
			t.Errorf("%s: answered early", name)
		default:
		}
		low.let(len(low.data), nil)
		middle.let(len(middle.data), nil)
		if !<-found {
			t.Errorf("%s: not found in the end", name)
		}
		cancel()
	}
}

// Something is found once the span is here that it ends in, however much more it takes
// until there is so much more that everybody looks again.
func TestFoundWithItsSpan(t *testing.T) {
	w := newWorkplace(t, 0)
	b := newBlob(large(t, 40))
	m := w.image("app", b)
	b.let(22<<20, nil)
	if tree, _, ok, err := m.Find(t.Context(), "d/18"); err != nil || !ok || !tree.Partial() {
		t.Fatalf("d/18: %v, %v", ok, err)
	}
	found := make(chan error, 1)
	go func() {
		tree, n, ok, err := m.Find(t.Context(), "d/22")
		if err == nil && (!ok || !tree.Partial() || n.Name() != "22") {
			err = fmt.Errorf("found: %v", ok)
		}
		found <- err
	}()
	b.let(26<<20, nil) // at most 25 entries, d among them: less than a third more than the 20 that were seen
	if err := <-found; err != nil {
		t.Error(err)
	}
	b.let(len(b.data), nil)
}

// A layer's first bytes are asked for while it isn't known yet whether a table of
// contents lies beside it.
func TestBeginningBesideTable(t *testing.T) {
	w := newWorkplace(t, 0)
	b := newBlob(large(t, 9))
	src := w.source(b)
	src.Table = func(context.Context, *archive.Source) []byte {
		for b.reads.Load() == 0 {
			runtime.Gosched()
		}
		return nil
	}
	if _, err := w.Image("app", false, sources{src}).Tree(t.Context()); err != nil {
		t.Fatal(err)
	}
}
