package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/opencontainers/go-digest"
)

// The sums of a large blob say which of its chunks are in the data file beside
// them, and what the checksums of their blocks are. They begin with a header:
//
//	8 bytes   sumsMagic, with the version of the format
//	4 bytes   ChunkSize
//	4 bytes   blockSize
//	8 bytes   the blob's size
//	2 bytes   the length of its digest
//	n bytes   its digest, as text; then zeros up to headerSize-4
//	4 bytes   CRC-32C of the above
//
// Then comes a slot for each chunk, in order, so that what is known of a chunk is
// found with one small read, whatever the blob's size:
//
//	64 bytes   CRC-32C of each of its blocks
//	 4 bytes   CRC-32C of the header's checksum, the chunk's index and the above
//
// A slot of zeros, or one that is beyond the end of the file, is a chunk that
// isn't there. All numbers are big-endian. Nothing is synced while a blob grows:
// a slot that is torn or missing costs a fetch, and one whose chunk didn't reach
// the disk is found out by the chunk's checksums.
const sumsMagic = "orasfss2"

const (
	headerSize = 256
	slotSize   = 4*blocksPerChunk + 4
)

// errDamaged is that something on disk isn't as it was written. A disk that
// can't be read is another error: it may do better the next time.
var errDamaged = errors.New("damaged")

// errGone is that a chunk isn't there. In a complete blob that is a damage.
var errGone = fmt.Errorf("not there: %w", errDamaged)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

func sumsHeader(d digest.Digest, size int64) []byte {
	h := append(make([]byte, 0, headerSize), sumsMagic...)
	h = binary.BigEndian.AppendUint32(h, ChunkSize)
	h = binary.BigEndian.AppendUint32(h, blockSize)
	h = binary.BigEndian.AppendUint64(h, uint64(size))   //nolint:gosec // a size isn't negative, see Blob
	h = binary.BigEndian.AppendUint16(h, uint16(len(d))) //nolint:gosec // a valid digest is short
	h = append(h, d...)[:headerSize-4]
	return binary.BigEndian.AppendUint32(h, checksum(h))
}

// sizeInHeader is the size of the blob that a header is of; false if it isn't
// one of that digest.
func sizeInHeader(h []byte, d digest.Digest) (int64, bool) {
	if len(h) < headerSize {
		return 0, false
	}
	size := int64(binary.BigEndian.Uint64(h[16:])) //nolint:gosec // compared with what a header of it would be
	return size, size >= 0 && bytes.Equal(h, sumsHeader(d, size))
}

// A slot is what the sums say of one chunk.
type slot [slotSize]byte

// newSlot is the slot of chunk i with these bytes. seed is the header's checksum.
func newSlot(seed []byte, i int, data []byte) *slot {
	var s slot
	for b := 0; b*blockSize < len(data); b++ {
		binary.BigEndian.PutUint32(s[4*b:], checksum(data[b*blockSize:min((b+1)*blockSize, len(data))]))
	}
	binary.BigEndian.PutUint32(s[slotSize-4:], s.check(seed, i))
	return &s
}

func (s *slot) check(seed []byte, i int) uint32 {
	var index [4]byte
	binary.BigEndian.PutUint32(index[:], uint32(i)) //nolint:gosec // an index has 30 bits, see maxBlob
	crc := crc32.Update(checksum(seed), castagnoli, index[:])
	return crc32.Update(crc, castagnoli, s[:slotSize-4])
}

// empty tells whether it says that the chunk isn't there.
func (s *slot) empty() bool { return *s == slot{} }

// holds tells whether the chunk is there.
func (s *slot) holds(seed []byte, i int) bool {
	return !s.empty() && binary.BigEndian.Uint32(s[slotSize-4:]) == s.check(seed, i)
}

// matches tells whether these are the chunk's bytes from block b on.
func (s *slot) matches(b int, data []byte) bool {
	for at := 0; at < len(data); at += blockSize {
		if checksum(data[at:min(at+blockSize, len(data))]) != binary.BigEndian.Uint32(s[4*b:]) {
			return false
		}
		b++
	}
	return true
}

func slotOffset(i int) int64 { return headerSize + int64(i)*slotSize }

// readSlots reads the slots of n chunks from first on. Those beyond the end of
// the file are zeros.
func readSlots(f io.ReaderAt, first, n int) ([]byte, error) {
	raw := make([]byte, n*slotSize)
	if _, err := f.ReadAt(raw, slotOffset(first)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return raw, nil
}
