package main

import (
	"cmp"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// maxOldLogs bounds the logs of mountpoints where nothing is mounted any more: there may
// be new ones all the time, where something else chooses them.
const maxOldLogs = 100

// removeOldLogs leaves the latest logs of ended mounts in a cache directory, and those of
// mounts that there are.
func removeOldLogs(cacheDir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter(fsType))
	if err != nil {
		return err
	}
	living := make(map[string]bool)
	for _, m := range mounts {
		living[logPath(cacheDir, m.Mountpoint)] = true
	}
	return removeLogsBut(filepath.Join(cacheDir, logDir), living, maxOldLogs)
}

// removeLogsBut removes the logs in a directory but for those to keep and, of the others,
// so many that were written last.
func removeLogsBut(dir string, keep map[string]bool, latest int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var logs []iofs.FileInfo
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".log") || keep[filepath.Join(dir, e.Name())] {
			continue
		}
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() { // else it has just gone
			logs = append(logs, info)
		}
	}
	slices.SortFunc(logs, func(a, b iofs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	var failed error
	for _, log := range logs[min(latest, len(logs)):] {
		path := filepath.Join(dir, log.Name())
		for _, one := range []string{path, oldLog(path)} {
			if err := os.Remove(one); err != nil && !errors.Is(err, iofs.ErrNotExist) {
				failed = errors.Join(failed, err)
			}
		}
	}
	return failed
}
