package mount

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// baseSpec is the specification of the tree that every base image must show.
var baseSpec = filepath.Join(testdata, "base.mtree")

// A difference is between a directory and what an mtree specification (mtree(5))
// says of it.
type difference struct {
	path      string
	what      string // "missing", "extra" or the keyword
	want, got string // of a keyword; "" is none
}

func (d difference) String() string {
	if d.what == "missing" || d.what == "extra" {
		return fmt.Sprintf("%q: %s", d.path, d.what)
	}
	return fmt.Sprintf("%q: %s is %q, not %q", d.path, d.what, d.got, d.want)
}

// An allowance names differences that are none.
type allowance func(difference) bool

// wholeSeconds allows for times without fractions, as formats have them that
// don't keep more.
func wholeSeconds(d difference) bool {
	seconds, _, fraction := strings.Cut(d.want, ".")
	return d.what == "time" && fraction && d.got == seconds+".000000000"
}

// sameTree fails the test unless a directory is what an mtree specification
// says: no name too many or too few, each with that type, mode, owner, size,
// link count, link target, time, content and those extended attributes.
func sameTree(t testing.TB, spec, dir string, allowed ...allowance) {
	t.Helper()
	differences := treeDifferences(t, spec, dir, allowed...)
	const most = 20
	for _, d := range differences[:min(len(differences), most)] {
		t.Error(d)
	}
	if more := len(differences) - most; more > 0 {
		t.Errorf("and %d further differences from %s", more, filepath.Base(spec))
	}
}

// treeDifferences lists how a directory differs from a specification.
func treeDifferences(t testing.TB, spec, dir string, allowed ...allowance) []difference {
	t.Helper()
	// The directory itself comes last: the mount tells the archive's attributes
	// of it when somebody has looked into it, and doesn't open the archive to
	// tell before.
	differences := gomtreeDifferences(t, spec, dir)
	differences = append(differences, rootDifferences(t, spec, dir)...)
	differences = slices.DeleteFunc(differences, func(d difference) bool {
		return slices.ContainsFunc(allowed, func(a allowance) bool { return a(d) })
	})
	slices.SortFunc(differences, func(a, b difference) int { return strings.Compare(a.String(), b.String()) })
	return differences
}

// rootDifferences compares the directory itself, which gomtree doesn't look at.
func rootDifferences(t testing.TB, spec, dir string) []difference {
	t.Helper()
	content, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "/set" && fields[0] != "." {
			continue
		}
		for _, field := range fields[1:] {
			keyword, value, _ := strings.Cut(field, "=")
			want[keyword] = value
		}
		if fields[0] == "." {
			break
		}
	}
	got := strings.Fields(output(t, "stat", "-c", "dir 0%a %u %g %.9Y", dir))
	var differences []difference
	for i, keyword := range []string{"type", "mode", "uid", "gid", "time"} {
		if want[keyword] != got[i] {
			differences = append(differences, difference{".", keyword, want[keyword], got[i]})
		}
	}
	return differences
}

// gomtreeDifferences compares all that is in the directory.
func gomtreeDifferences(t testing.TB, spec, dir string) []difference {
	t.Helper()
	r := try(t, tool(t, "gomtree"), "validate", "--strict", "--result-format", "json", "-f", spec, "-p", dir)
	if r.stdout == "" {
		if r.code != 0 {
			t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
		}
		return nil
	}
	var found []struct {
		Type, Path string
		Keys       []struct{ Type, Name, Old, New string }
	}
	// What follows the document is that something differs.
	if err := json.NewDecoder(strings.NewReader(r.stdout)).Decode(&found); err != nil {
		t.Fatalf("%s: %v\n%s%s", r.command, err, clip(r.stdout), r.stderr)
	}
	var differences []difference
	for _, f := range found {
		if f.Type != "modified" {
			differences = append(differences, difference{path: f.Path, what: f.Type})
		}
		for _, key := range f.Keys {
			// Of a directory they are the file system's and not specified.
			if key.Type == "extra" && (key.Name == "size" || key.Name == "nlink") {
				continue
			}
			differences = append(differences, difference{f.Path, key.Name, key.Old, key.New})
		}
	}
	return differences
}

// baseDevices are the devices of the base image: type, major and minor number.
var baseDevices = map[string]string{
	"special/null":     "character special file 1:3",
	"special/tty-like": "character special file 5:300",
	"special/loop":     "block special file 7:0",
}

// baseLinks are the hard links of the base image, by groups: those of the
// second are of two layers.
var baseLinks = [][]string{
	{"links/hard-a", "links/hard-b", "links/sub/hard-c"},
	{"wh/link-target", "wh/link-from-2"},
}

// sameBase fails the test unless a directory is the tree of the base image, in
// what an mtree can't say too.
func sameBase(t testing.TB, dir string, allowed ...allowance) {
	t.Helper()
	sameTree(t, baseSpec, dir, allowed...)
	for name, want := range baseDevices {
		if got := deviceOf(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s is a %s, not a %s", name, got, want)
		}
	}
	linkedLike(t, dir, baseLinks)
}

// deviceOf is the type of a file and its device number.
func deviceOf(t testing.TB, file string) string {
	t.Helper()
	fields := strings.Split(strings.TrimSpace(output(t, "stat", "-c", "%F|%t|%T", file)), "|")
	var major, minor uint32
	if _, err := fmt.Sscanf(fields[1]+" "+fields[2], "%x %x", &major, &minor); err != nil {
		t.Fatalf("%s: %q: %v", file, fields, err)
	}
	return fmt.Sprintf("%s %d:%d", fields[0], major, minor)
}

// linkedLike fails the test unless the names of each group are one inode, and
// no others have more than one name.
func linkedLike(t testing.TB, dir string, want [][]string) {
	t.Helper()
	byInode := make(map[string][]string)
	for record := range strings.SplitSeq(output(t, "find", dir, "!", "-type", "d", "-printf", `%i %P\0`), "\x00") {
		if inode, name, ok := strings.Cut(record, " "); ok {
			byInode[inode] = append(byInode[inode], name)
		}
	}
	var got []string
	for _, names := range byInode {
		if slices.Sort(names); len(names) > 1 {
			got = append(got, fmt.Sprintf("%q", names))
		}
	}
	var expected []string
	for _, names := range want {
		names = slices.Sorted(slices.Values(names))
		expected = append(expected, fmt.Sprintf("%q", names))
	}
	slices.Sort(got)
	slices.Sort(expected)
	if !slices.Equal(got, expected) {
		t.Errorf("one inode are %s, not %s", got, expected)
	}
}
