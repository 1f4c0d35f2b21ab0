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
	pods, err := filepath.Glob(node.kubelet("pods", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		left = append(left, "pod: "+pod)
	}
	state, err := node.stateFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range state {
		if !slices.Contains(node.driver.idle, path) {
			left = append(left, "state: "+path)
		}
	}
	return left
}

// stateFiles are the files and directories of the driver's state.
func (c *cluster) stateFiles() ([]string, error) {
	var paths []string
	err := filepath.WalkDir(c.path("state"), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has gone meanwhile
		}
		if err != nil {
			return err
		}
		paths = append(paths, path)
		if filepath.Dir(path) == c.path("state", "mounts") {
			return fs.SkipDir // what is mounted there is a registry's
		}
		return nil
	})
	return paths, err
}

// volumesMounted are the mounts of orasfs and those in pods' folders, by their
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
		if strings.Contains(line, " - fuse.orasfs ") || strings.HasPrefix(dir, node.kubelet("pods")) {
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
