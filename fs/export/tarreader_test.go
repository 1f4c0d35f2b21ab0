package export

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
)

// A bookshelf has the contents of members, and counts how often each is opened and
// closed.
type bookshelf struct {
	books          map[digest.Digest]*book
	opened, closed map[digest.Digest]int
}

// A book is what a member holds.
type book struct {
	shelf    *bookshelf
	member   Member
	content  []byte
	verified bool
}

// Open implements Contents.
func (s *bookshelf) Open(m Member) (Content, error) {
	s.opened[m.Digest]++
	return s.books[m.Digest], nil
}

// ReadAt implements Content.
func (b *book) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(b.content).ReadAt(p, off)
}

// Verified implements Content.
func (b *book) Verified() bool { return b.verified }

// Close implements Content.
func (b *book) Close() error {
	b.shelf.closed[b.member.Digest]++
	return nil
}

// shelved are a closure of some members, and what they hold.
func shelved(members int) (*Closure, *bookshelf) {
	c := &Closure{}
	s := &bookshelf{books: map[digest.Digest]*book{}, opened: map[digest.Digest]int{}, closed: map[digest.Digest]int{}}
	for i := range members {
		content := bytes.Repeat([]byte{byte(i)}, 1000)
		m := Member{Digest: digest.FromBytes(content), Size: int64(len(content))}
		c.Members = append(c.Members, m)
		s.books[m.Digest] = &book{shelf: s, member: m, content: content, verified: true}
	}
	return c, s
}

// open opens the tar of a closure.
func open(t *testing.T, c *Closure, s *bookshelf) *TarReader {
	t.Helper()
	p, err := c.Tar()
	if err != nil {
		t.Fatal(err)
	}
	return p.Open(s)
}

// readAll reads a tar in pieces that don't end where members do.
func readAll(t *testing.T, r *TarReader) {
	t.Helper()
	if _, err := io.Copy(io.Discard, io.NewSectionReader(readerAt{t, r}, 0, r.Size())); err != nil {
		t.Fatal(err)
	}
}

// A readerAt reads a tar as an io.ReaderAt.
type readerAt struct {
	t *testing.T
	*TarReader
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.TarReader.ReadAt(r.t.Context(), p[:min(len(p), 700)], off)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

// TestTarReaderOpensOnce reads a tar from its start to its end: each member is opened
// once, a few are open at a time, and none stays open.
func TestTarReaderOpensOnce(t *testing.T) {
	c, s := shelved(20)
	r := open(t, c, s)
	readAll(t, r)
	closed := 0
	for _, m := range c.Members {
		if s.opened[m.Digest] != 1 {
			t.Errorf("a member is opened %d times", s.opened[m.Digest])
		}
		closed += s.closed[m.Digest]
	}
	if closed != len(c.Members)-maxOpenMembers {
		t.Errorf("%d of %d members are closed", closed, len(c.Members))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Members {
		if s.closed[m.Digest] != 1 {
			t.Errorf("a member is closed %d times", s.closed[m.Digest])
		}
	}
}

// TestTarReaderKeepsUnverified has a member that isn't verified: it stays open, so
// that who has read some of it never reads another content.
func TestTarReaderKeepsUnverified(t *testing.T) {
	c, s := shelved(20)
	doubtful := c.Members[3].Digest
	s.books[doubtful].verified = false
	r := open(t, c, s)
	readAll(t, r)
	readAll(t, r)
	if s.opened[doubtful] != 1 || s.closed[doubtful] != 0 {
		t.Errorf("what isn't verified is opened %d times and closed %d times", s.opened[doubtful], s.closed[doubtful])
	}
	s.books[doubtful].verified = true
	readAll(t, r)
	if s.closed[doubtful] == 0 {
		t.Error("it stays open when it is verified")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTarReaderOfShortMember has a member that holds less than it should.
func TestTarReaderOfShortMember(t *testing.T) {
	c, s := shelved(3)
	short := s.books[c.Members[1].Digest]
	short.content = short.content[:500]
	r := open(t, c, s)
	if n, err := r.ReadAt(t.Context(), make([]byte, r.Size()), 0); err == nil {
		t.Errorf("%d bytes are read", n)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
