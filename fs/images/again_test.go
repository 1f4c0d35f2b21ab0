package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orasfs/orasfs/fs/archive"
)

// What the disk keeps no more, or never took, is made anew.
func TestIndexThatIsLost(t *testing.T) {
	for _, full := range []bool{false, true} {
		w := newWorkplace(t, 0)
		w.full = full
		b := newBlob(gzipOf(t, tarOf(t, named{"a", "1"})))
		for i := range 3 {
			m := w.image(fmt.Sprint("app", i), b)
			tree, err := m.Tree(t.Context())
			if err != nil {
				t.Fatalf("full %v, image %d: %v", full, i, err)
			}
			if n, _ := tree.At("a"); content(t, m, tree, n) != "1" {
				t.Errorf("full %v, image %d: a is wrong", full, i)
			}
			w.running.Wait()
			w.mu.Lock()
			clear(w.kept)
			w.mu.Unlock()
		}
	}
}

// A tree on disk of which a layer is indexed otherwise now is made anew.
func TestTreeOfAnotherIndex(t *testing.T) {
	w := newWorkplace(t, 0)
	b := newBlob(gzipOf(t, tarOf(t, named{"a", "1"})))
	if _, err := w.image("app", b).Tree(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.running.Wait()
	again := newWorkplace(t, 0)
	for key, raw := range w.kept {
		if strings.HasPrefix(key, "tree-") {
			body := bytes.Replace(raw[:len(raw)-sha256.Size], []byte(archive.IndexVersion+"-"), []byte(archive.IndexVersion+"x"), 1)
			sum := sha256.Sum256(body)
			raw = slices.Concat(body, sum[:])
		}
		again.kept[key] = raw
	}
	m := again.image("app", b)
	for i := range 2 {
		tree, err := m.Tree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, _ := tree.At("a")
		f, err := m.Open(t.Context(), tree, n)
		if i == 0 {
			if !errors.Is(err, ErrStale) {
				t.Fatalf("the tree on disk has another index, and opening its file gives %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("when it was made anew: %v", err)
		}
		f.Close()
	}
}

// Who has a file of a plain tar open doesn't get what another content has at its place.
func TestOpenFileOfPlainTarThatWasWrong(t *testing.T) {
	w := newWorkplace(t, 0)
	b := newBlob(tarOf(t, named{"x", "abcd"}, named{"a", "1111"}))
	m := w.image("app", b)
	tree, err := m.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, _ := tree.At("a")
	f, err := m.Open(t.Context(), tree, n)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	copy(b.data, tarOf(t, named{"a", "1111"}, named{"x", "abcd"}))
	b.generation.Store(2)
	p := make([]byte, 4)
	if _, err := f.ReadAt(t.Context(), p, 0); !errors.Is(err, ErrChanged) {
		t.Errorf("it reads %q, %v", p, err)
	}
	if _, err := m.Open(t.Context(), tree, n); err == nil {
		again, _ := m.Open(t.Context(), tree, n)
		if _, err := again.ReadAt(t.Context(), p, 0); !errors.Is(err, ErrChanged) {
			t.Errorf("one that is opened in the old tree reads %q, %v", p, err)
		}
	}
}

// A name that only a lower layer has isn't sure, though a passed one gave the file
// another name.
func TestHardLinkDuringAPass(t *testing.T) {
	w := newWorkplace(t, 0)
	low := newBlob(gzipOf(t, tarOf(t, named{"x", "low"})))
	var raw bytes.Buffer
	tw := tar.NewWriter(&raw)
	put := func(h tar.Header, content string) {
		h.Mode, h.Size = 0o644, int64(len(content))
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	put(tar.Header{Name: "y", Typeflag: tar.TypeLink, Linkname: "x"}, "")
	for i := range 12 {
		put(tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeReg}, noise(t, 1<<20))
	}
	put(tar.Header{Name: "x", Typeflag: tar.TypeReg}, "new")
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	top := newBlob(gzipOf(t, raw.Bytes()))
	top.let(7<<20, nil)
	m := w.image("app", low, top)
	tree, _, ok, err := m.Find(t.Context(), "y")
	if err != nil || !ok || !tree.Partial() {
		t.Fatalf("y isn't found early: %v, %v", ok, err)
	}
	if _, sure := tree.Sure("x"); sure {
		t.Error("x is sure, which the layer has another one of")
	}
	top.let(len(top.data), nil)
	if tree, err = m.Tree(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _ := tree.At("x"); content(t, m, tree, n) != "new" {
		t.Error("x is wrong in the end")
	}
}

// A few bytes that stand for many directories are refused before they take memory, and
// so are layers that are too many together.
func TestTooMuchOfLittle(t *testing.T) {
	w := newWorkplace(t, 0)
	var deep []named
	for i := range 200 {
		deep = append(deep, named{fmt.Sprint(i) + strings.Repeat("/a", 1000) + "/f", ""})
	}
	if _, err := w.image("deep", newBlob(gzipOf(t, tarOf(t, deep...)))).Tree(t.Context()); !errors.Is(err, archive.ErrTooLarge) {
		t.Errorf("200,000 directories that no entry names: %v", err)
	}
	var blobs []*testBlob
	for i := range 20 {
		var files []named
		for k := range 8000 {
			files = append(files, named{fmt.Sprintf("%d/%d", i, k), ""})
		}
		blobs = append(blobs, newBlob(gzipOf(t, tarOf(t, files...))))
	}
	if _, err := w.image("many", blobs...).Tree(t.Context()); !errors.Is(err, archive.ErrTooLarge) {
		t.Errorf("20 layers of 8,000 entries in 32 MiB: %v", err)
	}
	opened := 0
	for _, b := range blobs {
		opened += int(b.opened.Load())
	}
	if opened > 15 {
		t.Errorf("%d layers were opened before they were refused", opened)
	}
}

// A blob that became another one during a pass, and is right now, is opened.
func TestPassOfTwoContents(t *testing.T) {
	w := newWorkplace(t, 0)
	b, m, _, _ := w.passing(t)
	b.generation.Store(2)
	b.verified.Store(true)
	b.let(len(b.data), nil)
	_, _ = m.Tree(t.Context()) // of two contents, or already of the next
	if _, err := m.Tree(t.Context()); err != nil {
		t.Errorf("the right one gives %v", err)
	}
}

// What is passed of a layer that two images have is seen by the one that comes later.
func TestFindInLayerThatIsPassed(t *testing.T) {
	w := newWorkplace(t, 1<<30)
	top := newBlob(large(t, 8))
	top.let(6<<20, nil)
	if _, _, ok, err := w.image("first", top).Find(t.Context(), "d/00"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	for i := range 5 {
		low := newBlob(gzipOf(t, tarOf(t, named{fmt.Sprint(i), "x"})))
		low.let(0, nil)
		ctx, cancel := context.WithCancel(t.Context())
		if _, _, ok, err := w.image(fmt.Sprint("next", i), low, top).Find(ctx, "d/00"); err != nil || !ok {
			t.Error(ok, err)
		}
		cancel()
	}
}

// What an opening keeps while it waits for its other layers is given up to others, and
// passes that a registry holds up don't keep others from theirs.
func TestRoomIsGivenUp(t *testing.T) {
	w := newWorkplace(t, minMemory)
	var files []named
	for i := range 9_000 {
		files = append(files, named{strings.Repeat(fmt.Sprintf("%0250d/", i), 3) + "f", ""})
	}
	large := newBlob(gzipOf(t, tarOf(t, files...)))
	var held []*testBlob
	for i := range 4 {
		b := newBlob(gzipOf(t, tarOf(t, named{fmt.Sprint("held ", i), noise(t, 1<<20)})))
		b.let(0, nil)
		held = append(held, b)
	}
	held[0].let(512, nil) // its pass has begun
	var group sync.WaitGroup
	open := func(m *Image) {
		group.Go(func() {
			if _, err := m.Tree(t.Context()); err == nil {
				t.Error("an image is opened without its layers")
			}
		})
	}
	open(w.image("first", held[0], large))
	for kept := 0; kept == 0; { // the entries of its upper layer are kept
		w.room.mu.Lock()
		kept = len(w.room.kept)
		w.room.mu.Unlock()
	}
	open(w.image("second", held[1:]...))
	if _, err := w.image("next", newBlob(gzipOf(t, tarOf(t, named{"a", "1"})))).Tree(t.Context()); err != nil {
		t.Error(err)
	}
	for _, b := range held {
		b.let(0, errors.New("the end"))
	}
	group.Wait()
}

// Many small layers take no more than what is in them.
func TestManyLayers(t *testing.T) {
	w := newWorkplace(t, minMemory)
	var blobs []*testBlob
	for i := range 120 {
		blobs = append(blobs, newBlob(gzipOf(t, tarOf(t, named{fmt.Sprint(i), "x"}))))
	}
	m := w.image("app", blobs...)
	tree, err := m.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := tree.At("119"); !ok || content(t, m, tree, n) != "x" {
		t.Error("the last layer's file isn't there")
	}
}
