package cache

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/opencontainers/go-digest"
)

// A journal says which chunks of a blob are in the data file beside it, and
// what their checksums are. It begins with a header:
//
//	8 bytes   journalMagic
//	4 bytes   ChunkSize
//	8 bytes   the blob's size
//	2 bytes   the length of its digest
//	n bytes   its digest, as text
//	4 bytes   CRC-32C of the above
//
// Then come records, in the order in which the chunks were written. The later
// one of a chunk counts.
//
//	4 bytes   the chunk's index
//	4 bytes   CRC-32C of its bytes
//	4 bytes   CRC-32C of the header's checksum and the 8 bytes above
//
// All numbers are big-endian. Nothing is synced while it grows: a record that
// is torn or missing costs a fetch, and one whose chunk didn't reach the disk
// is found out by the chunk's checksum.
const journalMagic = "orasfsj1"

const recordSize = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

func journalHeader(d digest.Digest, size int64) []byte {
	h := []byte(journalMagic)
	h = binary.BigEndian.AppendUint32(h, ChunkSize)
	h = binary.BigEndian.AppendUint64(h, uint64(size))   //nolint:gosec // a size isn't negative, see Blob
	h = binary.BigEndian.AppendUint16(h, uint16(len(d))) //nolint:gosec // a valid digest is short
	h = append(h, d...)
	return binary.BigEndian.AppendUint32(h, checksum(h))
}

func journalRecord(header []byte, i int, crc uint32) []byte {
	b := append(make([]byte, 0, 4+recordSize), header[len(header)-4:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(i)) //nolint:gosec // an index has 30 bits, see maxBlob
	b = binary.BigEndian.AppendUint32(b, crc)
	return binary.BigEndian.AppendUint32(b, checksum(b))[4:]
}

// readJournal calls record for each record of the journal r, which must begin
// with header. It returns how long the valid part is: 0 if it is another
// blob's or none, otherwise up to the first record that is torn, damaged or
// beyond the blob's chunks.
func readJournal(r io.Reader, header []byte, chunks int, record func(i int, crc uint32)) int64 {
	begin := make([]byte, len(header))
	if _, err := io.ReadFull(r, begin); err != nil || !bytes.Equal(begin, header) {
		return 0
	}
	end := int64(len(header))
	var b [recordSize]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return end
		}
		i, crc := binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint32(b[4:])
		if int64(i) >= int64(chunks) || !bytes.Equal(b[:], journalRecord(header, int(i), crc)) {
			return end
		}
		record(int(i), crc)
		end += recordSize
	}
}
