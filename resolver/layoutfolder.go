package resolver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// A layoutFolder is the files of a folder. Links in it may not lead out.
type layoutFolder struct{ root *os.Root }

func openLayoutFolder(path string) (layoutFiles, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{ocispec.ImageLayoutFile, ocispec.ImageIndexFile} {
		if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			_ = root.Close()
			return nil, fmt.Errorf("%w: the folder has no %s: an OCI image layout has %s and %s",
				errdef.ErrUnsupported, name, ocispec.ImageLayoutFile, ocispec.ImageIndexFile)
		}
	}
	return layoutFolder{root}, nil
}

// open implements layoutFiles.
func (l layoutFolder) open(name string) (layoutFile, error) {
	// Without O_NONBLOCK the opening of a named pipe would wait for a writer.
	return regularFile(l.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0))
}

// Close implements io.Closer.
func (l layoutFolder) Close() error { return l.root.Close() }

// A diskFile is a regular file and the size it had when it was opened.
type diskFile struct {
	*os.File
	size int64
}

// Size implements layoutFile.
func (f *diskFile) Size() int64 { return f.size }

// regularFile takes what was opened only if it is a regular file.
func regularFile(f *os.File, err error) (*diskFile, error) {
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no regular file", errdef.ErrUnsupported, f.Name())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &diskFile{f, info.Size()}, nil
}
