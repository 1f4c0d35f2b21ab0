package cache

import (
	"os"
	"path/filepath"
	"strings"
)

// maxIndexFile bounds what PutIndex takes, in bytes.
const maxIndexFile = 256 << 20

// Index is what PutIndex was given under that name, if it is still on disk. Who
// wrote it has to tell whether it is damaged.
func (c *Cache) Index(name string) ([]byte, bool) {
	path, ok := c.indexPath(name)
	if !ok {
		return nil, false
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxIndexFile {
		return nil, false
	}
	data, err := os.ReadFile(path) //nolint:gosec // the name has no slash, see indexPath
	if err != nil {
		c.disk.warn("an index of the cache can't be read", path, err)
		return nil, false
	}
	c.disk.touch(path, info)
	return data, true
}

// PutIndex keeps data on disk under a name: something that was found out about a
// blob, and could be found out again. Where it can't be kept only the log tells.
func (c *Cache) PutIndex(name string, data []byte) {
	path, ok := c.indexPath(name)
	if ok && len(data) <= maxIndexFile {
		c.disk.writeWhole(path, data)
	}
}

// indexPath is where the index of that name is; false where there is no disk,
// or the name can't be a file's.
func (c *Cache) indexPath(name string) (string, bool) {
	name = strings.ReplaceAll(name, ":", "-")
	if c.disk == nil || name == "" || len(name) > 255 || name[0] == '.' || strings.ContainsAny(name, "/\x00") {
		return "", false
	}
	return filepath.Join(c.disk.root, "indexes", name), true
}
