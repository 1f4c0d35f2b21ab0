package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLogPath(t *testing.T) {
	for mountpoint, want := range map[string]string{
		"/mnt/oci":    "/cache/log/mnt-oci.log",
		"/mnt":        "/cache/log/mnt.log",
		"/a b/ü":      "/cache/log/a b-ü.log",
		"/srv/-x/y.z": "/cache/log/srv-%2Dx-y.z.log",
		"/a/b-c":      "/cache/log/a-b%2Dc.log",
		"/a-b/c":      "/cache/log/a%2Db-c.log",
		"/100%/-":     "/cache/log/100%25-%2D.log",
	} {
		if got := logPath("/cache", mountpoint); got != want {
			t.Errorf("log of %s is %s, expected %s", mountpoint, got, want)
		}
	}
	long := "/" + strings.Repeat("a", 150) + "/" + strings.Repeat("b", 150)
	one, two := logPath("/cache", long+"1"), logPath("/cache", long+"2")
	if one == two {
		t.Error("two long mountpoints have one log")
	}
	if n := len(filepath.Base(one)); n > 255-len(".old") {
		t.Errorf("the log's name has %d bytes", n)
	}
}

// No two mountpoints have one log: all that are made of a few letters, those among
// them that names are made of.
func TestLogPathsDiffer(t *testing.T) {
	mountpoints := map[string]string{}
	var longer func(mountpoint string, more int)
	longer = func(mountpoint string, more int) {
		if filepath.Clean(mountpoint) == mountpoint { // as mountpoints are
			name := logPath("", mountpoint)
			if other, ok := mountpoints[name]; ok {
				t.Errorf("%s and %s have the log %s", other, mountpoint, name)
			}
			mountpoints[name] = mountpoint
		}
		if more == 0 {
			return
		}
		for _, letter := range []string{"/", "-", "%", "2", "D", "a"} {
			longer(mountpoint+letter, more-1)
		}
	}
	longer("/", 5)
	if len(mountpoints) < 1000 {
		t.Errorf("only %d mountpoints are compared", len(mountpoints))
	}
}

func TestOpenLog(t *testing.T) {
	path := logPath(filepath.Join(t.TempDir(), "cache"), "/mnt")
	for range 2 {
		f, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, path); got != "xx" {
		t.Errorf("the log isn't appended to: %q", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the log is %v, %v", info.Mode(), err)
	}
}

func TestBoundedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	file, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // read back below
	l, err := newBoundedLog(file, path)
	if err != nil {
		t.Fatal(err)
	}
	l.max = 1000
	const line = "line %06d 0123456789 0123456789 0123456789\n"
	for i := range 500 {
		if _, err := fmt.Fprintf(l, line, i); err != nil {
			t.Fatal(err)
		}
	}
	// What the runtime writes goes to the same open file.
	if _, err := file.WriteString("panic: last words\n"); err != nil {
		t.Fatal(err)
	}
	now, before := readFile(t, path), readFile(t, path+".old")
	if len(now) > 1000+20 || len(before) > 1000 {
		t.Errorf("%d and %d bytes are left of a log bounded at 1000", len(now), len(before))
	}
	if strings.Contains(now, "\x00") || !strings.HasSuffix(now, fmt.Sprintf(line, 499)+"panic: last words\n") {
		t.Errorf("the log ends %q", now)
	}
	// The two together have no gap.
	lines := strings.Count(before+now, "\n") - 1
	if !strings.HasPrefix(before+now, fmt.Sprintf(line, 500-lines)) {
		t.Errorf("%d lines are left, the first is %.20q", lines, before)
	}
}

// A log is appended to if it is the user's own file, and nothing else is.
func TestOpenLogRefuses(t *testing.T) {
	const before = "somebody's file"
	for name, test := range map[string]struct {
		prepare func(path, target string)
		words   []string
	}{
		"a link":            {func(path, target string) { symlink(t, target, path) }, []string{"symbolic link", "remove it"}},
		"a link to nothing": {func(path, _ string) { symlink(t, "nothing", path) }, []string{"symbolic link"}},
		"a directory":       {func(path, _ string) { mkdir(t, path) }, []string{"a directory"}},
		"a named pipe":      {func(path, _ string) { mkfifo(t, path) }, []string{"something special"}},
		"all may write":     {func(path, _ string) { writeFile(t, path, ""); chmod(t, path, 0o666) }, []string{"others may write"}},
		"the old one is a link": {
			func(path, target string) { symlink(t, target, oldLog(path)) }, []string{".old", "symbolic link"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "target")
			writeFile(t, target, before)
			path := filepath.Join(t.TempDir(), "x.log")
			test.prepare(path, target)
			_, err := openLog(path)
			wantError(t, err, append(test.words, path)...)
			if got := readFile(t, target); got != before {
				t.Errorf("the target holds %q", got)
			}
		})
	}
}

// A link that is put there later isn't written through either.
func TestBoundedLogIgnoresLink(t *testing.T) {
	target, path := filepath.Join(t.TempDir(), "target"), filepath.Join(t.TempDir(), "x.log")
	writeFile(t, target, "somebody's file")
	file, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // read back below
	symlink(t, target, oldLog(path))
	l := &boundedLog{file: file, path: path, max: 10}
	for range 5 {
		if _, err := l.Write([]byte("12345678\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, target); got != "somebody's file" {
		t.Errorf("the target holds %q", got)
	}
}

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A log that a daemon before left full is bounded too.
func TestBoundedLogCountsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	writeFile(t, path, strings.Repeat("x", 1000))
	file, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // read back below
	l, err := newBoundedLog(file, path)
	if err != nil {
		t.Fatal(err)
	}
	l.max = 1000
	if _, err := l.Write([]byte("y\n")); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path); got != "y\n" {
		t.Errorf("%d bytes are in the log", len(got))
	}
}

func TestLogger(t *testing.T) {
	var text, lines strings.Builder
	newLogger(&text, "text", false).Debug("hidden")
	newLogger(&text, "text", true).Debug("shown", "a", "b c")
	if got := text.String(); strings.Contains(got, "hidden") || !strings.Contains(got, `msg=shown a="b c"`) {
		t.Errorf("text: %q", got)
	}
	newLogger(&lines, "json", false).Warn("odd", "a", 1)
	var line struct {
		Level, Msg string
		A          int
	}
	if err := json.Unmarshal([]byte(lines.String()), &line); err != nil || line.Level != "WARN" || line.Msg != "odd" || line.A != 1 {
		t.Errorf("JSON: %q, %v", lines.String(), err)
	}
}

func TestLastLines(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	all := b.String()
	got := lastLines(strings.NewReader(all), 0, int64(len(all)))
	if !strings.HasPrefix(got, "line 90\n") || !strings.HasSuffix(got, "line 99") {
		t.Errorf("the last lines are %q", got)
	}
	from := int64(strings.Index(all, "line 98"))
	if got := lastLines(strings.NewReader(all), from, int64(len(all))); got != "line 98\nline 99" {
		t.Errorf("the last lines from an offset on are %q", got)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
