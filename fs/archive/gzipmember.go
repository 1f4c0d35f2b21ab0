package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/orasfs/orasfs/fs/archive/deflate"
)

// A memberReader inflates gzip members one after the other (RFC 1952, 2.2), as
// one stream. It compares the checksum and the size that stand behind a member's
// data, unless it began within it.
type memberReader struct {
	in       *deflate.Input
	inflater deflate.Decoder
	// began, if not nil, is called at the start of each member's deflate data.
	began func()

	ended bool   // the member's data have come to their end
	whole bool   // the member is read from its header on
	crc   uint32 // of what was read of it
	size  uint32 // of that, modulo 1<<32
}

// next begins the member that follows; io.EOF is that none does.
func (m *memberReader) next() error {
	if err := readGzipHeader(m.in); err != nil {
		return err
	}
	if m.began != nil {
		m.began()
	}
	m.inflater.Begin(m.in)
	m.ended, m.whole, m.crc, m.size = false, true, 0, 0
	return nil
}

// follow begins the next member where the last one has ended; io.EOF is that none follows.
func (m *memberReader) follow() error {
	if !m.ended {
		return nil
	}
	if err := m.end(); err != nil {
		return err
	}
	return m.next()
}

// inflate is as [deflate.Decoder.Inflate], but goes on into further members: io.EOF is
// the last one's end.
func (m *memberReader) inflate(out []byte, n int) (int, error) {
	if err := m.follow(); err != nil {
		return n, err
	}
	from := n
	n, err := m.inflater.Inflate(out, n)
	if m.whole {
		m.crc = crc32.Update(m.crc, crc32.IEEETable, out[from:n])
		m.size += uint32(n - from) //nolint:gosec // modulo 1<<32, see above
	}
	if m.ended = errors.Is(err, io.EOF); m.ended {
		return n, nil
	}
	return n, err
}

// A memberStream is members as an io.Reader.
type memberStream struct {
	memberReader
	buf     []byte
	from, n int // what was inflated and not read
}

// newMemberStream begins at a member's header.
func newMemberStream(in *deflate.Input) (*memberStream, error) {
	s := &memberStream{memberReader: memberReader{in: in}, buf: make([]byte, deflate.Window+passPiece+deflate.Spare)}
	return s, s.next()
}

// Read implements io.Reader.
func (s *memberStream) Read(p []byte) (int, error) {
	for s.from == s.n {
		if len(s.buf)-s.n <= deflate.Spare { // it was filled
			s.n = copy(s.buf, s.buf[s.n-deflate.Window:s.n])
		}
		s.from = s.n
		var err error
		if s.n, err = s.inflate(s.buf, s.n); err != nil && s.from == s.n {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.from:s.n])
	s.from += n
	return n, nil
}

// end reads what stands behind a member's data.
func (m *memberReader) end() error {
	var trailer [8]byte // CRC32 and ISIZE
	if _, err := io.ReadFull(m.in, trailer[:]); err != nil {
		return unexpected(err)
	}
	crc, size := binary.LittleEndian.Uint32(trailer[:]), binary.LittleEndian.Uint32(trailer[4:])
	if m.whole && (crc != m.crc || size != m.size) {
		return fmt.Errorf("a member has %d bytes with the checksum %08x instead of %d with %08x", m.size, m.crc, size, crc)
	}
	return nil
}

// maxGzipHeader bounds a member's header, in bytes: its name and its comment
// may be of any length.
const maxGzipHeader = 1 << 20

// Flags of a gzip header (RFC 1952, 2.3.1).
const (
	gzipHasCRC     = 1 << 1
	gzipHasExtra   = 1 << 2
	gzipHasName    = 1 << 3
	gzipHasComment = 1 << 4
)

// readGzipHeader reads up to a member's deflate data; io.EOF is that nothing
// is left, or zeros alone, which writers to tape leave and gzip(1) ignores.
func readGzipHeader(r *deflate.Input) error {
	first, err := r.ReadByte()
	if err != nil {
		return err // io.EOF among them
	}
	if first == 0 {
		for first == 0 {
			if first, err = r.ReadByte(); err != nil {
				return err
			}
		}
		return errors.New("bytes after the last gzip member")
	}
	var h [10]byte
	h[0] = first
	if _, err := io.ReadFull(r, h[1:]); err != nil {
		return unexpected(err)
	}
	if h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 {
		return errors.New("not a gzip member")
	}
	if h[3]&gzipHasExtra != 0 {
		var n [2]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return unexpected(err)
		}
		if _, err := io.CopyN(io.Discard, r, int64(n[0])|int64(n[1])<<8); err != nil {
			return unexpected(err)
		}
	}
	for _, flag := range []byte{gzipHasName, gzipHasComment} {
		if h[3]&flag == 0 {
			continue
		}
		for n := 0; ; n++ {
			c, err := r.ReadByte()
			if err != nil {
				return unexpected(err)
			}
			if c == 0 {
				break
			}
			if n > maxGzipHeader {
				return fmt.Errorf("a gzip header of more than %d bytes", maxGzipHeader)
			}
		}
	}
	if h[3]&gzipHasCRC != 0 {
		if _, err := io.CopyN(io.Discard, r, 2); err != nil {
			return unexpected(err)
		}
	}
	return nil
}
