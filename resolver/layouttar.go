package resolver

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// A layoutTar is the regular files of a tar, and the links to them. It holds
// where they are, not what they hold.
type layoutTar struct {
	source  tarSource
	entries map[string]tarEntry
}

// A tarSource is the tar itself.
type tarSource interface {
	io.ReadSeeker
	io.ReaderAt
	io.Closer
}

// A tarEntry is a regular file, or else a symbolic link.
type tarEntry struct {
	file *tarFile
	link string // path in the archive; one that leads out is never found
}

// A tarFile is a part of the tar.
type tarFile struct{ *io.SectionReader }

// Close implements io.Closer. The tar stays open.
func (*tarFile) Close() error { return nil }

// Bounds of a tar's table of files. An image has some ten, each with a name of
// some 80 bytes.
const (
	maxTarEntries = 100_000
	maxTarNames   = 32 << 20 // bytes of all names, targets of links included
	maxTarLinks   = 40       // that lead to one file, as in Linux
)

func openLayoutTar(ctx context.Context, path string) (layoutFiles, error) {
	f, err := regularFile(os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0))
	if err != nil {
		return nil, err
	}
	t, err := newLayoutTar(ctx, f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return t, nil
}

// newLayoutTar reads the headers of a tar, and makes a layout of an archive of
// docker save that is none.
func newLayoutTar(ctx context.Context, source tarSource) (*layoutTar, error) {
	if c := compressionOf(source); c != "" {
		return nil, fmt.Errorf("%w: it is compressed with %s, and its files can't be read at an offset: decompress it first (%s -d)",
			errdef.ErrUnsupported, c, c)
	}
	t := &layoutTar{source: source, entries: make(map[string]tarEntry)}
	if err := t.readHeaders(ctx); err != nil {
		return nil, err
	}
	switch {
	case t.has(ocispec.ImageLayoutFile) && t.has(ocispec.ImageIndexFile):
		return t, nil
	case t.has(DockerManifestFile):
		return t, t.layOut(ctx)
	}
	return nil, fmt.Errorf("%w: the tar has neither %s and %s, as an OCI image layout has, nor docker save's %s",
		errdef.ErrUnsupported, ocispec.ImageLayoutFile, ocispec.ImageIndexFile, DockerManifestFile)
}

// readHeaders notes where each file is. Of several with one name the last
// holds, as it would after an extraction.
func (t *layoutTar) readHeaders(ctx context.Context) error {
	headers := tar.NewReader(t.source) // seeks over what the files hold
	names := 0
	for count := 0; ; count++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := headers.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // it is checked below
			if count == 0 {
				return fmt.Errorf("%w: it is no tar: %w", errdef.ErrUnsupported, err)
			}
			return fmt.Errorf("entry %d of the tar: %w", count, err)
		}
		names += len(h.Name) + len(h.Linkname)
		if count == maxTarEntries || names > maxTarNames {
			return fmt.Errorf("the tar has more than %d entries, or names of more than %d bytes: %w",
				maxTarEntries, maxTarNames, errdef.ErrSizeExceedsLimit)
		}
		if err := t.add(h); err != nil {
			return err
		}
	}
}

// add notes an entry. The reader stands where its content begins: archive/tar
// reads no byte ahead.
func (t *layoutTar) add(h *tar.Header) error {
	name := inTar(h.Name)
	if name == "" {
		return nil
	}
	var entry tarEntry
	switch {
	case h.Typeflag == tar.TypeReg && !isSparse(h):
		off, err := t.source.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		entry.file = &tarFile{io.NewSectionReader(t.source, off, h.Size)}
	case h.Typeflag == tar.TypeLink:
		entry = t.entries[inTar(h.Linkname)]
	case h.Typeflag == tar.TypeSymlink && !path.IsAbs(h.Linkname):
		entry.link = inTar(path.Join(path.Dir(name), h.Linkname))
	}
	if entry == (tarEntry{}) {
		delete(t.entries, name) // nothing that a layout has
		return nil
	}
	t.entries[name] = entry
	return nil
}

// isSparse tells whether an entry's bytes don't stand in the tar as they are.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// inTar cleans a path of an archive. It is "" where that leads out.
func inTar(name string) string {
	name = path.Clean(strings.TrimLeft(name, "/"))
	if !fs.ValidPath(name) {
		return ""
	}
	return name
}

// has tells whether a file is there.
func (t *layoutTar) has(name string) bool {
	_, err := t.find(name)
	return err == nil
}

// open implements layoutFiles.
func (t *layoutTar) open(name string) (layoutFile, error) { return t.find(name) }

// find follows the links to a file.
func (t *layoutTar) find(name string) (*tarFile, error) {
	at := inTar(name)
	for range maxTarLinks + 1 { // the file itself is the last
		entry, ok := t.entries[at]
		switch {
		case !ok:
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		case entry.file != nil:
			return entry.file, nil
		}
		at = entry.link
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
}

// put adds a file that isn't in the tar.
func (t *layoutTar) put(name string, content []byte) {
	t.entries[name] = tarEntry{file: &tarFile{io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content)))}}
}

// Close implements io.Closer.
func (t *layoutTar) Close() error { return t.source.Close() }

// compressionOf names the program that compressed content, by the bytes it
// begins with (RFC 1952, section 2.3.1; RFC 8878, sections 3.1.1 and 3.1.2; the
// .xz file format, section 2.1.1.1). It is "" where none did.
func compressionOf(content io.ReaderAt) string {
	var begin [6]byte
	n, _ := content.ReadAt(begin[:], 0) // what is shorter is nothing of this
	switch b := begin[:n]; {
	case bytes.HasPrefix(b, []byte("\x1f\x8b\x08")):
		return "gzip"
	case bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")), n > 4 && b[0]>>4 == 5 && string(b[1:4]) == "\x2a\x4d\x18":
		return "zstd"
	case bytes.HasPrefix(b, []byte("\xfd7zXZ\x00")):
		return "xz"
	}
	return ""
}
