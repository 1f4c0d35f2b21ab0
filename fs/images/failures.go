package images

import (
	"errors"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/orasfs/orasfs/fs/archive"
)

// maxFailures bounds the failures that are remembered.
const maxFailures = 4096

// failures are the layers and images that didn't open because of what they are:
// looking once more would take as long and find the same.
type failures struct {
	byKey *lru.Cache[string, error]
}

func newFailures() failures { return failures{newLRU[error]()} }

func newLRU[V any]() *lru.Cache[string, V] {
	c, err := lru.New[string, V](maxFailures)
	if err != nil {
		panic(err) // a constant positive size can't fail
	}
	return c
}

// of is why that didn't open, if it is known that it won't.
func (f failures) of(key string) error {
	err, _ := f.byKey.Get(key)
	return err
}

// note remembers an error that the content has caused. proven is that the content
// is known to be what its digest says: otherwise its bytes may have been wrong. That
// there is no room for it stays so in any case.
func (f failures) note(key string, err error, proven bool) {
	if errors.Is(err, errRoom) || proven && errors.Is(err, archive.ErrTooLarge) || proven && errors.Is(err, archive.ErrFormat) || proven && errors.Is(err, archive.ErrDigest) {
		f.byKey.Add(key, err)
	}
}
