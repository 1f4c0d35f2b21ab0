package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// A byteReader is what flate reads without taking more than it needs.
type byteReader interface {
	io.Reader
	io.ByteReader
}

// A memberReader inflates gzip members one after the other (RFC 1952, 2.2), as
// one stream, and can tell where a deflate block ends. It compares the checksum
// and the size that stand behind a member's data, unless it began within it.
type memberReader struct {
	in       byteReader
	inflater io.Reader
	options  []flate.ReaderOpt
	// began is called at the start of each member's deflate data.
	began    func()
	produced int64 // bytes that were read

	whole bool   // the member is read from its header on
	crc   uint32 // of what was read of it
	size  uint32 // of that, modulo 1<<32
}

// newMemberReader begins at a checkpoint, or, where that is nil, at a member's
// header.
func newMemberReader(in byteReader, at *flate.InflateCheckpoint) (*memberReader, error) {
	m := &memberReader{in: in}
	if at == nil {
		return m, m.next()
	}
	m.inflater = flate.NewReaderOpts(in, flate.WithResumeFrom(*at))
	return m, nil
}

// next begins the member that follows; io.EOF is that none does.
func (m *memberReader) next() error {
	if err := readGzipHeader(m.in); err != nil {
		return err
	}
	if m.began != nil {
		m.began()
	}
	m.inflater = flate.NewReaderOpts(m.in, m.options...)
	m.whole, m.crc, m.size = true, 0, 0
	return nil
}

// Read implements io.Reader.
func (m *memberReader) Read(p []byte) (int, error) {
	for {
		n, err := m.inflater.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			if errors.Is(err, io.EOF) {
				err = nil // the next Read goes on
			}
			m.produced += int64(n)
			if m.whole {
				m.crc = crc32.Update(m.crc, crc32.IEEETable, p[:n])
				m.size += uint32(n) //nolint:gosec // modulo 1<<32, see above
			}
			return n, err
		}
		if err := m.end(); err != nil {
			return 0, err
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
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
func readGzipHeader(r byteReader) error {
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
