package kubernetes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// leavesNothing waits until nothing is left of the pods that there were: neither a
// mount, nor a process that served it, nor what the driver and kubelet remembered.
func leavesNothing(t *testing.T) {
	t.Helper()
	wait(t, "nothing is left of the pods", func() (bool, string) {
		left := strings.Join(whatIsLeft(t), "\n")
		return left == "", left
	})
	t.Log("nothing is left: no mount, no process, no state")
}

// whatIsLeft lists it, a line each.
func whatIsLeft(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, mount := range volumesMounted(t) {
		left = append(left, "mount: "+mount)
	}
	for _, process := range serving(t) {
		left = append(left, "process: "+process)
	}
	pods, err := filepath.Glob(node.kubeletPath("pods", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		left = append(left, "pod: "+pod)
	}
	for _, path := range stateOfVolumes(t) {
		left = append(left, "state: "+path)
	}
	return left
}

// stateOfVolumes is what the driver has of volumes in its state directory: files, but
// for the few that it has for itself, and mountpoints.
func stateOfVolumes(t *testing.T) []string {
	t.Helper()
	itsOwn := []string{node.path("state", "lock"), node.path("state", "secrets", "salt"), node.path("state", "secrets", "none")}
	var paths []string
	err := filepath.WalkDir(node.path("state"), func(path string, entry fs.DirEntry, err error) error {
		isMountpoint := filepath.Dir(path) == node.path("state", "mounts")
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it has gone meanwhile
		case err != nil:
			return err
		case isMountpoint || !entry.IsDir() && !slices.Contains(itsOwn, path):
			paths = append(paths, path)
		}
		if isMountpoint {
			return fs.SkipDir // what is mounted there is a registry's
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// volumesMounted are the node's mounts of orasfs and those in pods' folders, by their
// directories.
func volumesMounted(t *testing.T) []string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var mounted []string
	for _, line := range lines(string(table)) {
		dir := strings.Fields(line)[4]
		if strings.HasPrefix(dir, node.kubeletPath("pods")) || strings.HasPrefix(dir, node.dir) && strings.Contains(line, " - fuse.orasfs ") {
			mounted = append(mounted, dir)
		}
	}
	return mounted
}

// serving are the processes that run orasfs, by their command lines.
func serving(t *testing.T) []string {
	t.Helper()
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, program := range programs {
		if of, err := os.Readlink(program); err != nil || of != node.path("bin", "orasfs") {
			continue
		}
		command, err := os.ReadFile(filepath.Join(filepath.Dir(program), "cmdline"))
		if err != nil { // it has ended
			continue
		}
		found = append(found, fmt.Sprint(filepath.Base(filepath.Dir(program)), " ", strings.ReplaceAll(string(command), "\x00", " ")))
	}
	return found
}
