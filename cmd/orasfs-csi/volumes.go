//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
)

// A volume is one that is published, or is about to be: one artifact at one target.
type volume struct {
	ID     string `json:"id"`
	Target string `json:"target"`
	Wants  wants  `json:"wants"`
	Source string `json:"source"` // the id of what serves it
	// Brought is the mark of the credentials with which it was published last, "" if
	// with none.
	Brought string `json:"brought,omitempty"`
	Warmed  bool   `json:"warmed,omitempty"`
}

// volumes are the volumes of a node, each noted in a file before anything is done for
// it, so that a driver which comes after this one knows what there may be to undo.
type volumes struct {
	dir string

	mu sync.Mutex // guards of
	of map[string]volume
}

// maxNote bounds what is read of a note in bytes.
const maxNote = 1 << 20

// noteSuffix is how the name of a note ends; any other file is one that wasn't
// finished.
const noteSuffix = ".json"

// openVolumes reads the notes in a directory, which it makes.
func openVolumes(dir string) (*volumes, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := &volumes{dir: dir, of: make(map[string]volume)}
	for _, e := range entries {
		if !e.Type().IsRegular() { // somebody else's
			continue
		}
		path := filepath.Join(dir, e.Name())
		v, err := readNote(path)
		switch {
		case !strings.HasSuffix(e.Name(), noteSuffix) || errors.Is(err, errNoNote) || err == nil && all.path(v.Target) != path:
			// A machine that lost its power leaves such a file. Nothing is served for it
			// any more.
			err = os.Remove(path)
		case err == nil:
			all.of[v.Target] = v
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// errNoNote is that a file is none.
var errNoNote = errors.New("it isn't what the driver writes")

func readNote(path string) (v volume, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return v, err
	}
	if info.Size() > maxNote {
		return v, fmt.Errorf("%s: %w", path, errNoNote)
	}
	text, err := os.ReadFile(path) //nolint:gosec // in our own directory
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(text, &v); err != nil || v.ID == "" || v.Target == "" || !isSourceID(v.Source) {
		return v, fmt.Errorf("%s: %w", path, errNoNote)
	}
	return v, nil
}

// path is where the volume of a target is noted.
func (all *volumes) path(target string) string {
	sum := sha256.Sum256([]byte(target))
	return filepath.Join(all.dir, hex.EncodeToString(sum[:16])+noteSuffix)
}

// at is the volume at a target.
func (all *volumes) at(target string) (volume, bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	v, ok := all.of[target]
	return v, ok
}

// note notes a volume, in the place of the one at its target.
func (all *volumes) note(v volume) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.write(v)
}

// warmed notes that what a volume asks for is here; there may be none at target any more.
func (all *volumes) warmed(target string) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	v, ok := all.of[target]
	if !ok {
		return nil
	}
	v.Warmed = true
	return all.write(v)
}

// write writes a note. all.mu is held, so that notes are written as they are.
func (all *volumes) write(v volume) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(all.path(v.Target), append(text, '\n'), 0o600, renameio.WithTempDir(all.dir)); err != nil {
		return fmt.Errorf("note volume %s: %w", v.ID, err)
	}
	all.of[v.Target] = v
	return nil
}

// forget forgets the volume at a target.
func (all *volumes) forget(target string) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	if err := os.Remove(all.path(target)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	delete(all.of, target)
	return nil
}

// list are all volumes.
func (all *volumes) list() []volume {
	all.mu.Lock()
	defer all.mu.Unlock()
	list := make([]volume, 0, len(all.of))
	for _, v := range all.of {
		list = append(list, v)
	}
	return list
}

// uses says whether a volume is served by a source: one at another target than but.
func (all *volumes) uses(source, but string) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, v := range all.of {
		if v.Source == source && v.Target != but {
			return true
		}
	}
	return false
}
