package archive

import (
	"bytes"
	"strconv"
	"strings"
)

// Sparse files are GNU's: in the archive is what isn't a hole, one part after
// the other, and a map of where each belongs (GNU tar's manual, "Storing Sparse
// Files"). The extents made here lack where they are in the stream.

// sparseGNU reads the map in a header of type S, and in the blocks after it.
func (t *tarScanner) sparseGNU(h tarHeader) (data []extent, size int64, err error) {
	if size, err = h.number(483, 12); err != nil {
		return nil, 0, err
	}
	fields, more := h[386:386+4*24], h[482] != 0
	for {
		for ; len(fields) >= 24; fields = fields[24:] {
			if fields[0] == 0 {
				break
			}
			offset, err := fields.number(0, 12)
			if err != nil {
				return nil, 0, err
			}
			length, err := fields.number(12, 12)
			if err != nil {
				return nil, 0, err
			}
			data = append(data, extent{offset: offset, length: length})
		}
		if !more {
			break
		}
		block := make(tarHeader, tarBlock)
		if err := t.read(block); err != nil {
			return nil, 0, badContent(err)
		}
		fields, more = block[:21*24], block[504] != 0
		if len(data) > maxSparse {
			return nil, 0, badTar("a sparse file of more than %d parts", maxSparse)
		}
	}
	return checkSparse(data, size)
}

// sparse says whether the records describe a sparse file, in one of the forms
// 0.0, 0.1 and 1.0.
func (p *paxRecords) sparse() bool {
	return len(p.sparseMap) > 0 || p.values["GNU.sparse.map"] != "" || p.values["GNU.sparse.major"] == "1" && p.values["GNU.sparse.minor"] == "0"
}

// sparsePAX reads the map in the records, or, of the form 1.0, at the start of
// the content.
func (t *tarScanner) sparsePAX(e *entry, p *paxRecords) ([]extent, int64, error) {
	// GNU tar gives the file's own name apart: the one in its place is made up.
	if name := p.values["GNU.sparse.name"]; name != "" {
		e.name = name
	}
	numbers := p.sparseMap
	size := p.values["GNU.sparse.size"]
	switch {
	case len(numbers) > 0:
	case p.values["GNU.sparse.map"] != "":
		numbers = strings.Split(p.values["GNU.sparse.map"], ",")
	default:
		size = p.values["GNU.sparse.realsize"]
		var err error
		if numbers, err = t.sparseMap(e.size); err != nil {
			return nil, 0, err
		}
	}
	total, err := paxNumber(size)
	if err != nil {
		return nil, 0, err
	}
	if len(numbers)%2 != 0 || len(numbers) > 2*maxSparse {
		return nil, 0, badTar("a sparse file's map of %d numbers", len(numbers))
	}
	var data []extent
	for ; len(numbers) > 0; numbers = numbers[2:] {
		offset, err := paxNumber(numbers[0])
		if err != nil {
			return nil, 0, err
		}
		length, err := paxNumber(numbers[1])
		if err != nil {
			return nil, 0, err
		}
		data = append(data, extent{offset: offset, length: length})
	}
	return checkSparse(data, total)
}

// sparseMap reads a map of the form 1.0: decimal numbers, a line each, first
// how many parts there are, filled up to whole blocks.
func (t *tarScanner) sparseMap(content int64) ([]string, error) {
	var text []byte
	want := -1
	for lines := 0; want < 0 || lines < 2*want+1; lines = bytes.Count(text, []byte("\n")) {
		if int64(len(text)) >= min(content, maxSparseMap) {
			return nil, badTar("a sparse file's map of more than %d bytes", len(text))
		}
		block := make([]byte, tarBlock)
		if err := t.read(block); err != nil {
			return nil, badContent(err)
		}
		text = append(text, block...)
		if first, _, ok := bytes.Cut(text, []byte("\n")); ok && want < 0 {
			n, err := strconv.ParseUint(string(first), 10, 31)
			if err != nil || n > maxSparse {
				return nil, badTar("a sparse file of %.20q parts", first)
			}
			want = int(n) //nolint:gosec // 31 bits
		}
	}
	return strings.Split(string(text), "\n")[1 : 2*want+1], nil
}

// checkSparse refuses parts that overlap or lie outside of the file. A part
// without bytes only says where the file ends.
func checkSparse(data []extent, size int64) ([]extent, int64, error) {
	kept := data[:0]
	end := int64(0)
	for _, e := range data {
		if e.offset < end || e.length < 0 || e.offset > size || e.length > size-e.offset {
			return nil, 0, badTar("a sparse file's part of %d bytes at %d", e.length, e.offset)
		}
		end = e.offset + e.length
		if e.length > 0 {
			kept = append(kept, e)
		}
	}
	return kept, size, nil
}
