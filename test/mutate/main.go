// Command mutate breaks orasfs, one line at a time, and sees whether the test that
// should notice does.
//
//	go run ./test/mutate                        every list beside it
//	go run ./test/mutate -list FILE.tsv         one of them
//	go run ./test/mutate -run REGEXP            the breaks whose line matches
//
// A line of a list is a break: the file, the text to be replaced, which is there
// once, what comes in its place, and the test that must fail then, as a package and
// a pattern for go test -run. Tabs are between them; \n and \t stand for themselves
// in the texts. Lines that begin with # are comments.
//
// It works on a copy of the module, prints a line for each break, and fails if one
// survives or can't be applied.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// atOnce is how many breaks are tried in parallel, and testTimeout how long a test
// may take, one of a mount with the programs that it builds: one that hangs has
// noticed. patience is for a command in all.
const (
	atOnce      = 2
	testTimeout = "3m"
	patience    = 5 * time.Minute
)

// toolsVariable says where the programs are that the tests of a mount need.
const toolsVariable = "ORASFS_TEST_TOOLS"

// A mutation is one break.
type mutation struct {
	line           string
	file, old, new string
	pkg, test      string
}

func main() {
	list := flag.String("list", "", "a list of breaks; all in test/mutate without one")
	run := flag.String("run", "", "a regular expression that a break's line must match")
	flag.Parse()
	if err := mutate(*list, *run); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func mutate(list, run string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if os.Getenv(toolsVariable) == "" { // a copy of the module doesn't have them
		if err := os.Setenv(toolsVariable, filepath.Join(root, ".tools", "bin")); err != nil {
			return err
		}
	}
	lists := []string{list}
	if list == "" {
		if lists, err = filepath.Glob(filepath.Join(root, "test/mutate/*.tsv")); err != nil {
			return err
		}
	}
	only, err := regexp.Compile(run)
	if err != nil {
		return err
	}
	var todo []mutation
	for _, path := range lists {
		all, err := read(path)
		if err != nil {
			return err
		}
		for _, m := range all {
			if only.MatchString(m.line) {
				todo = append(todo, m)
			}
		}
	}
	left, err := tryAll(root, todo)
	if err == nil && left > 0 {
		err = fmt.Errorf("%d of %d breaks weren't noticed", left, len(todo))
	}
	return err
}

// read reads a list.
func read(path string) ([]mutation, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	var all []mutation
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s:%d: %d fields, not 4", path, n, len(fields))
		}
		pkg, test, ok := strings.Cut(fields[3], " ")
		if !ok {
			return nil, fmt.Errorf("%s:%d: no package and test in %q", path, n, fields[3])
		}
		unescape := strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace
		all = append(all, mutation{line, fields[0], unescape(fields[1]), unescape(fields[2]), pkg, test})
	}
	return all, lines.Err()
}

// tryAll tries breaks, each worker in a copy of its own, and counts those that
// nobody noticed.
func tryAll(root string, todo []mutation) (left int, err error) {
	var mu sync.Mutex // guards left and err
	next := make(chan mutation)
	var workers sync.WaitGroup
	for range min(atOnce, len(todo)) {
		dir, failed := os.MkdirTemp("", "mutate-")
		if failed == nil {
			defer os.RemoveAll(dir) //nolint:errcheck // a temporary copy
			failed = copyModule(dir, root)
		}
		if failed != nil {
			close(next)
			workers.Wait()
			return 0, failed
		}
		workers.Go(func() {
			for m := range next {
				verdict, failed := try(dir, m)
				mu.Lock()
				fmt.Printf("%-9s %s: %s\n", verdict, m.file, oneLine(m.old, m.new))
				if verdict != "noticed" {
					left++
				}
				err = errors.Join(err, failed)
				mu.Unlock()
			}
		})
	}
	for _, m := range todo {
		next <- m
	}
	close(next)
	workers.Wait()
	return left, err
}

func oneLine(from, to string) string {
	return strings.Join(strings.Fields(from), " ") + " => " + strings.Join(strings.Fields(to), " ")
}

// try applies one break to a copy, runs its test, and restores the copy.
func try(dir string, m mutation) (verdict string, err error) {
	path := filepath.Join(dir, m.file)
	whole, err := os.ReadFile(path)
	if err != nil {
		return "broken", err
	}
	if n := bytes.Count(whole, []byte(m.old)); n != 1 {
		return "broken", fmt.Errorf("%s: %q is there %d times", m.file, m.old, n)
	}
	if err := os.WriteFile(path, bytes.Replace(whole, []byte(m.old), []byte(m.new), 1), 0o600); err != nil {
		return "broken", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, whole, 0o600)) }()
	if out, err := goes(dir, "build", "./..."); err != nil {
		return "broken", fmt.Errorf("%s: %q doesn't compile: %s", m.file, m.new, out)
	}
	out, err := goes(dir, "test", "-count=1", "-failfast", "-vet=off", "-timeout", testTimeout, "-run", m.test, m.pkg)
	switch {
	case err != nil:
		return "noticed", nil
	case bytes.Contains(out, []byte("[no tests to run]")):
		return "broken", fmt.Errorf("%s: no test is called %s", m.pkg, m.test)
	}
	return "SURVIVES", nil
}

// goes runs the go command in a directory.
func goes(dir string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	return cmd.CombinedOutput()
}

func moduleRoot() (string, error) {
	out, err := goes(".", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// copyModule copies what go needs of a module: not what is hidden.
func copyModule(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), data, 0o600)
	})
}
