package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

// A Damage is something on disk that isn't as it was written, or not what its
// digest says.
type Damage struct {
	Holding Holding
	Err     error // what is wrong
	// Removed is that it is gone; else a mount has it open, which finds out itself
	// when it reads it, or it can't be removed.
	Removed bool
}

// Verify reads all that the cache holds, compares it with digests and checksums,
// and removes what is wrong: of a partial blob the chunks that are. progress is
// told how many bytes have been looked at since it was told last, damaged what is
// wrong. A disk that can't be read is an error, and so is the end of ctx; nothing
// is removed for it.
func (d *Directory) Verify(ctx context.Context, progress func(n int64), damaged func(Damage)) error {
	var failed error
	for h := range d.Holdings() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var chunks *wrongChunks
		err := d.rehash(ctx, h, progress)
		switch {
		case err == nil, errors.Is(err, os.ErrNotExist):
		case errors.As(err, &chunks):
			damaged(Damage{Holding: h, Err: err, Removed: chunks.kept == 0})
		case errors.Is(err, errDamaged):
			damaged(Damage{Holding: h, Err: err, Removed: d.discard(h)})
		default:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", h.path, err))
		}
	}
	return failed
}

// rehash finds out whether something is what it should be; errDamaged is that it
// isn't.
func (d *Directory) rehash(ctx context.Context, h Holding, progress func(int64)) error {
	info, err := os.Lstat(h.path)
	switch {
	case err != nil:
		return err
	case h.Digest == "":
		return d.rehashIndex(h, progress)
	case info.IsDir() && h.Size < 0:
		return fmt.Errorf("its checksums are those of nothing: %w", errDamaged)
	case info.IsDir() && h.Partial:
		return d.rehashChunks(ctx, h, progress)
	case info.IsDir():
		return d.rehashWhole(ctx, h, progress)
	}
	return d.rehashSmall(h, progress)
}

// rehashSmall compares a small blob with its digest.
func (d *Directory) rehashSmall(h Holding, progress func(int64)) error {
	data, err := os.ReadFile(h.path)
	if err != nil {
		return err
	}
	progress(int64(len(data)))
	if h.Digest.Algorithm().FromBytes(data) != h.Digest {
		return fmt.Errorf("its digest is another: %w", errDamaged)
	}
	return nil
}

// rehashWhole compares a large blob with its checksums and its digest.
func (d *Directory) rehashWhole(ctx context.Context, h Holding, progress func(int64)) error {
	s := d.disk.newStore(h.path, Key{Digest: h.Digest, Size: h.Size})
	if err := s.openFiles(os.O_RDONLY); err != nil {
		if errors.Is(err, errIrregular) || errors.Is(err, os.ErrNotExist) && isThere(h.path) {
			return fmt.Errorf("it lacks a file: %w", errDamaged)
		}
		return err
	}
	defer s.close()
	if info, err := s.data.Stat(); err != nil || info.Size() != h.Size {
		return errors.Join(err, fmt.Errorf("it hasn't its size: %w", errDamaged))
	}
	hash := h.Digest.Algorithm().Hash()
	buffer := make([]byte, ChunkSize)
	for i := range s.grid.chunks() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		chunk := buffer[:s.grid.length(i)]
		if err := s.read(i, chunk, 0); err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
		progress(int64(len(chunk)))
		_, _ = hash.Write(chunk) // it never fails
	}
	if hex.EncodeToString(hash.Sum(nil)) != h.Digest.Encoded() {
		return fmt.Errorf("its digest is another: %w", errDamaged)
	}
	return nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// rehashChunks compares the chunks of a partial blob with their checksums, and
// drops those that are wrong.
func (d *Directory) rehashChunks(ctx context.Context, h Holding, progress func(int64)) error {
	s := d.disk.newStore(h.path, Key{Digest: h.Digest, Size: h.Size})
	if err := s.openFiles(os.O_RDWR); err != nil {
		if errors.Is(err, errIrregular) {
			return fmt.Errorf("it lacks a file: %w", errDamaged)
		}
		return err
	}
	defer s.close()
	s.join()
	if ok, err := s.headed(Key{Digest: h.Digest, Size: h.Size}); err != nil || !ok {
		return err
	}
	have, err := s.look(0, s.grid.chunks())
	if err != nil {
		return err
	}
	wrong, kept := 0, 0
	buffer := make([]byte, ChunkSize)
	for i, there := range have {
		if !there {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		chunk := buffer[:s.grid.length(i)]
		err := s.read(i, chunk, 0)
		progress(int64(len(chunk)))
		switch {
		case err == nil, errors.Is(err, errGone):
		case !errors.Is(err, errDamaged):
			return err
		case s.drop(i):
			wrong++
		default:
			kept++ // a mount has it open
		}
	}
	if wrong+kept == 0 {
		return nil
	}
	return &wrongChunks{wrong, kept}
}

// wrongChunks is what was wrong in a partial blob; the rest of it is right.
type wrongChunks struct{ dropped, kept int }

func (e *wrongChunks) Error() string {
	return fmt.Sprintf("%d of its chunks are damaged", e.dropped+e.kept)
}

func (e *wrongChunks) Unwrap() error { return errDamaged }

// rehashIndex compares an index with its checksum.
func (d *Directory) rehashIndex(h Holding, progress func(int64)) error {
	content, err := os.ReadFile(h.path)
	if err != nil {
		return err
	}
	progress(int64(len(content)))
	if _, _, ok := parseIndex(content); !ok {
		return fmt.Errorf("its checksum is another: %w", errDamaged)
	}
	return nil
}

// discard removes what is wrong, unless somebody has it open.
func (d *Directory) discard(h Holding) bool {
	if info, err := os.Lstat(h.path); err == nil && info.IsDir() && inUse(h.path) {
		return false
	}
	d.disk.throwAway(h.path)
	return !isThere(h.path)
}
