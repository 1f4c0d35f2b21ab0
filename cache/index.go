package cache

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"strings"
)

// maxIndexFile bounds what PutIndex takes, in bytes.
const maxIndexFile = 256 << 20

// An index file begins with what it is of, so that one in the place of another
// isn't taken for it: indexMagic with the version of the form, the length of the
// name (2 bytes), the name, and CRC-32C of what follows and of the name (4 bytes).
const indexMagic = "orasfsi2"

// Index is what PutIndex was given under that name, if it is still on disk, byte
// for byte.
func (c *Cache) Index(name string) ([]byte, bool) {
	path, ok := c.indexPath(name)
	if !ok {
		return nil, false
	}
	data, info := c.disk.readFile(path, maxIndexFile+headerSize+maxIndexName)
	if data == nil {
		return nil, false
	}
	of, content, ok := parseIndex(data)
	if !ok || of != name {
		c.disk.damaged(path)
		return nil, false
	}
	c.disk.used(path, info)
	return content, true
}

// parseIndex is what an index file holds, and of what; false if it isn't as it was
// written.
func parseIndex(file []byte) (name string, content []byte, ok bool) {
	rest, ok := bytes.CutPrefix(file, []byte(indexMagic))
	if !ok || len(rest) < 2 {
		return "", nil, false
	}
	length := int(binary.BigEndian.Uint16(rest))
	if rest = rest[2:]; len(rest) < length+4 {
		return "", nil, false
	}
	name, rest = string(rest[:length]), rest[length:]
	content = rest[4:]
	return name, content, binary.BigEndian.Uint32(rest) == indexChecksum(name, content)
}

// PutIndex keeps data on disk under a name: something that was found out about a
// blob, and could be found out again. It tells whether it is kept; why not the log
// tells.
func (c *Cache) PutIndex(name string, data []byte) bool {
	path, ok := c.indexPath(name)
	if !ok || len(data) > maxIndexFile {
		return false
	}
	file := binary.BigEndian.AppendUint32(indexHeader(name), indexChecksum(name, data))
	return c.disk.writeFile(path, append(file, data...))
}

func indexHeader(name string) []byte {
	h := append(make([]byte, 0, len(indexMagic)+2+len(name)+4), indexMagic...)
	return append(binary.BigEndian.AppendUint16(h, uint16(len(name))), name...) //nolint:gosec // at most maxIndexName
}

func indexChecksum(name string, data []byte) uint32 {
	return checksum(data) ^ checksum([]byte(name))
}

// maxIndexName is that of a file's name.
const maxIndexName = 255

// indexPath is where the index of that name is; false where there is no disk,
// or the name can't be a file's.
func (c *Cache) indexPath(name string) (string, bool) {
	file := strings.ReplaceAll(name, ":", "-")
	if c.disk == nil || file == "" || len(file) > maxIndexName || file[0] == '.' || strings.ContainsAny(file, "/\x00") {
		return "", false
	}
	return filepath.Join(c.disk.root, "indexes", file), true
}
