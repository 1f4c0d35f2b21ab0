//go:build linux

package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/renameio/v2"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// secrets are the credentials of pods, in a ramfs: that is memory which is never
// swapped, and it is there for the processes that serve mounts when the driver isn't.
type secrets struct {
	dir  string
	salt []byte
}

// dockerConfigKey is the key that a secret of type kubernetes.io/dockerconfigjson has.
const dockerConfigKey = ".dockerconfigjson"

// What the directory has beside a file for each source: what the ids of sources are made
// with, and a Docker config without credentials.
const (
	saltFile = "salt"
	noneFile = "none"
)

// openSecrets mounts a ramfs at a directory, unless an earlier driver has.
func openSecrets(dir string) (*secrets, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	mounted, err := mountinfo.Mounted(dir)
	if err != nil {
		return nil, err
	}
	if !mounted {
		if err := unix.Mount("orasfs-csi", dir, "ramfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
			return nil, fmt.Errorf("mount a ramfs for credentials at %s: %w", dir, err)
		}
	}
	s := &secrets{dir: dir}
	if err := s.write(s.none(), []byte(`{"auths":{}}`)); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, saltFile)
	s.salt, err = os.ReadFile(path) //nolint:gosec // our own
	if err == nil && len(s.salt) == sha256.Size {
		return s, nil
	}
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	s.salt = make([]byte, sha256.Size)
	if _, err := rand.Read(s.salt); err != nil {
		return nil, err
	}
	return s, s.write(path, s.salt)
}

// end takes the ramfs away where nothing needs it any more.
func (s *secrets) end() error { return unix.Unmount(s.dir, unix.UMOUNT_NOFOLLOW) }

// write writes a file whole or not at all.
func (s *secrets) write(path string, content []byte) error {
	if err := renameio.WriteFile(path, content, 0o600, renameio.WithTempDir(s.dir)); err != nil {
		return fmt.Errorf("keep credentials: %w", err)
	}
	return nil
}

// path is the file with a source's credentials.
func (s *secrets) path(source string) string { return filepath.Join(s.dir, source+".json") }

// none is the file that has no credentials.
func (s *secrets) none() string { return filepath.Join(s.dir, noneFile) }

// set gives a source its credentials. The file is left alone where it has them already.
func (s *secrets) set(source string, config []byte) error {
	if s.hasAs(source, config) {
		return nil
	}
	return s.write(s.path(source), config)
}

// has says whether a source has credentials of its own.
func (s *secrets) has(source string) bool {
	_, err := os.Lstat(s.path(source))
	return err == nil
}

// hasAs says whether a source has just these credentials.
func (s *secrets) hasAs(source string, config []byte) bool {
	old, err := os.ReadFile(s.path(source))
	return err == nil && hmac.Equal(old, config)
}

// remove forgets the credentials of a source.
func (s *secrets) remove(source string) error {
	err := os.Remove(s.path(source))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}

// source is the id of what serves a share for those who have the same credentials: the
// nth of several, since one may have others by now.
func (s *secrets) source(of share, config []byte, n int) (string, error) {
	text, err := json.Marshal(of)
	if err != nil {
		return "", err
	}
	return s.sum([]byte("source"), text, config, []byte(strconv.Itoa(n))), nil
}

// mark is what credentials are known by again, "" for none.
func (s *secrets) mark(config []byte) string {
	if config == nil {
		return ""
	}
	return s.sum([]byte("credentials"), config)
}

// sum is a number made of texts. Nothing about them can be learnt from it, since nobody
// else has the salt.
func (s *secrets) sum(parts ...[]byte) string {
	sum := hmac.New(sha256.New, s.salt)
	for _, part := range parts {
		one := sha256.Sum256(part)
		sum.Write(one[:])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// registryConfig is what of the secrets that a volume brings its process may have: the
// credentials. A config can also name programs that give them, and those would run on
// the node. nil is that there are no secrets.
func registryConfig(given map[string]string) ([]byte, error) {
	if len(given) == 0 {
		return nil, nil
	}
	text, ok := given[dockerConfigKey]
	if !ok {
		return nil, fmt.Errorf("the secret has no key %s: it must be of type kubernetes.io/dockerconfigjson, as kubectl create secret docker-registry makes it", dockerConfigKey)
	}
	var config struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	// What it has instead isn't shown: it may be a password.
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return nil, fmt.Errorf("%s of the secret isn't the JSON of a Docker config", dockerConfigKey)
	}
	if config.Auths == nil {
		config.Auths = make(map[string]json.RawMessage)
	}
	return json.Marshal(config)
}
