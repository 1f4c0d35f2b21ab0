package mount

import (
	"crypto/sha256"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// listing lists a directory with all below it, sorted.
func listing(t testing.TB, dir string, predicates ...string) []string {
	t.Helper()
	args := append([]string{dir + "/", "-mindepth", "1"}, predicates...)
	records := strings.Split(strings.TrimSuffix(output(t, "find", args...), "\x00"), "\x00")
	records = slices.DeleteFunc(records, func(r string) bool { return r == "" })
	slices.Sort(records)
	return records
}

// listFormat has find print names, types, modes and the sizes of files.
var listFormat = []string{"(", "-type", "f", "-printf", `%P %y %m %s\0`, "-o", "-printf", `%P %y %m\0`, ")"}

// sameListing fails the test unless both are the same, and tells how not.
func sameListing(t testing.TB, what string, got, want []string) {
	t.Helper()
	missing := slices.DeleteFunc(slices.Clone(want), func(s string) bool { _, ok := slices.BinarySearch(got, s); return ok })
	extra := slices.DeleteFunc(slices.Clone(got), func(s string) bool { _, ok := slices.BinarySearch(want, s); return ok })
	if len(missing)+len(extra) > 0 {
		t.Errorf("%s: of %d entries %d are missing, %d are too many: missing\n%s\ntoo many\n%s", what, len(want),
			len(missing), len(extra), clip(strings.Join(missing, "\n")), clip(strings.Join(extra, "\n")))
	}
}

// treeFormat has find print all that a listing can say; sizes and link counts
// of directories are the file system's.
var treeFormat = []string{"(", "-type", "d", "-printf", `%P %m %U:%G %T@\0`, "-o", "-printf", `%P %y %m %U:%G %s %n %T@ %l\0`, ")"}

// sumOfTar is the digest of a tar that GNU tar makes of a directory: of all
// names, attributes and contents.
func sumOfTar(t testing.TB, dir string) string {
	t.Helper()
	cmd := exec.Command("tar", "--sort=name", "--format=gnu", "--numeric-owner", "-cf", "-", "-C", dir, ".")
	cmd.Env = environment()
	sum := sha256.New()
	cmd.Stdout = sum
	p := start(t, cmd)
	if state := p.wait(t); !state.Success() {
		t.Fatalf("%s: %s\n%s", cmd, state, clip(p.stderr.String()))
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// lists fails the test unless a directory and what is below it has those
// files and, where its name ends with a slash, directories.
func lists(t testing.TB, dir string, want ...string) {
	t.Helper()
	got := listing(t, dir, "(", "-type", "d", "-printf", `%P/\0`, "-o", "-printf", `%P\0`, ")")
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, not %q", dir, got, want)
	}
}

// shows fails the test unless a directory holds these files and no others.
func shows(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	var want []string
	for name, content := range files {
		want = append(want, name)
		if got := output(t, "cat", dir+"/"+name); got != content {
			t.Errorf("%s holds %q, not %q", name, clip(got), clip(content))
		}
	}
	slices.Sort(want)
	if got := listing(t, dir, "!", "-type", "d", "-printf", `%P\0`); !slices.Equal(got, want) {
		t.Errorf("there are %q, not %q", got, want)
	}
}
