package cache

// ChunkSize is the grid on which large blobs are cut, in bytes. One small read
// fetches at most one chunk, so it bounds what a look into the middle of a blob
// costs. Requests are bigger: consecutive missing chunks are fetched with one
// range request (see plan.go).
const ChunkSize = 256 << 10

// blockSize is what has a checksum of its own on disk, in bytes: the least that
// is read from there. It bounds what a random read of 4 KiB costs.
const blockSize = 16 << 10

const blocksPerChunk = ChunkSize / blockSize

// SmallBlob is the largest blob, in bytes, that is fetched whole and verified
// before its first byte is served. It is also the limit of a manifest in the
// OCI distribution specification, and so of a document.
const SmallBlob = 4 << 20

// maxBlob is the largest blob the grid can index with 30 bits: 256 TiB.
const maxBlob = 1 << 48

// A grid cuts a blob of size bytes into chunks.
type grid struct {
	size int64
}

// chunks is the number of chunks.
func (g grid) chunks() int { return int((g.size + ChunkSize - 1) / ChunkSize) }

// index is the chunk that holds the byte at off.
func (g grid) index(off int64) int { return int(off / ChunkSize) }

// offset is where chunk i begins. The chunk after the last one begins at the
// end of the blob.
func (g grid) offset(i int) int64 { return min(int64(i)*ChunkSize, g.size) }

// length is the number of bytes in chunk i.
func (g grid) length(i int) int { return int(g.offset(i+1) - g.offset(i)) }

// pages is a sparse array by chunk. It costs what was touched, not what a
// descriptor claims as its size.
type pages[T any] struct {
	m map[int]*[pageLen]T
}

const pageLen = 64

// at is the element i, to change.
func (p *pages[T]) at(i int) *T {
	page := p.m[i/pageLen]
	if page == nil {
		if p.m == nil {
			p.m = make(map[int]*[pageLen]T)
		}
		page = new([pageLen]T)
		p.m[i/pageLen] = page
	}
	return &page[i%pageLen]
}

// get is the value of element i; zero when it was never touched.
func (p *pages[T]) get(i int) T {
	if page := p.m[i/pageLen]; page != nil {
		return page[i%pageLen]
	}
	var zero T
	return zero
}
