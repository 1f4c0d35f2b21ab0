package main

import (
	"errors"
	iofs "io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// settleHome gives HOME the value of homeDirectory, for everything that goes by it
// later: the cache directory, the credentials, the helpers that they name, and the
// daemon.
func settleHome() error {
	home := homeDirectory(os.Getenv("HOME"))
	if home == "" {
		return nil
	}
	return os.Setenv("HOME", home)
}

// homeDirectory is the home directory of whom this process runs as, "" if there is
// none: what HOME says, and what the database of users does where HOME isn't set or
// is somebody else's. mount(8) drops HOME where fstab has the option user, and
// mount.fuse3 sets root's then.
func homeDirectory(home string) string {
	if home != "" && isUsable(home) {
		return home
	}
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil && u.HomeDir != "" {
		return u.HomeDir
	}
	return home
}

// isUsable tells whether a directory may be this user's home: it is his own, or he
// may write to it as in a container where all homes are one. Everything is root's,
// and what isn't there is nobody else's.
func isUsable(home string) bool {
	if os.Geteuid() == 0 {
		return true
	}
	info, err := os.Stat(home)
	if err != nil {
		return errors.Is(err, iofs.ErrNotExist)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == os.Geteuid() {
		return true
	}
	return unix.Faccessat(unix.AT_FDCWD, home, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
}

// pathVariables are the variables in the environment that hold paths for orasfs,
// for the libraries that it is made of and for credential helpers: each one path,
// but SSL_CERT_DIR, which holds several with colons between them.
var pathVariables = []string{"HOME", "DOCKER_CONFIG", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// absoluteEnvironment makes the paths in the environment independent of the working
// directory, as mountFlags.absolute does it for those of flags.
func absoluteEnvironment() error {
	for _, name := range pathVariables {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		paths := []string{value}
		if name == "SSL_CERT_DIR" {
			paths = strings.Split(value, ":")
		}
		for i, path := range paths {
			if path == "" {
				continue
			}
			abs, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			paths[i] = abs
		}
		if err := os.Setenv(name, strings.Join(paths, ":")); err != nil {
			return err
		}
	}
	return nil
}
