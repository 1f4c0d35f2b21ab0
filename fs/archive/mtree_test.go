package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parseMtree reads an mtree specification as gomtree writes it: what must hold
// for each path, as "keyword=value" words.
func parseMtree(t *testing.T, text []byte) map[string]map[string]string {
	t.Helper()
	tree := map[string]map[string]string{}
	defaults := map[string]string{}
	dir := ""
	scanner := bufio.NewScanner(bytes.NewReader(text))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		words := strings.Fields(scanner.Text())
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "/set":
			defaults = keywords(t, words[1:])
		case words[0] == "..":
			dir = path.Dir(dir)
		default:
			values := maps.Clone(defaults)
			maps.Copy(values, keywords(t, words[1:]))
			name := path.Join(dir, unvis(t, words[0]))
			tree[name] = values
			if values["type"] == "dir" {
				dir = name
			}
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return tree
}

func keywords(t *testing.T, words []string) map[string]string {
	values := map[string]string{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		if key == "link" {
			value = unvis(t, value)
		}
		values[unvis(t, key)] = value
	}
	return values
}

// unvis undoes vis(3).
func unvis(t *testing.T, s string) string {
	t.Helper()
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		rest := s[i+1:]
		simple := map[byte]byte{'\\': '\\', 's': ' ', 't': '\t', 'n': '\n', 'r': '\r', '#': '#', 'a': 7, 'b': 8, 'v': 11, 'f': 12, '*': '*', '?': '?', '[': '['}
		if len(rest) >= 3 && rest[0] >= '0' && rest[0] <= '3' {
			n, err := strconv.ParseUint(rest[:3], 8, 8)
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			out = append(out, byte(n))
			i += 3
		} else if c, ok := simple[rest[0]]; ok {
			out = append(out, c)
			i++
		} else {
			t.Fatalf("%q: an escape that is unknown", s)
		}
	}
	return string(out)
}

var mtreeTypes = map[Type]string{
	TypeDir: "dir", TypeRegular: "file", TypeSymlink: "link", TypeChar: "char", TypeBlock: "block", TypeFIFO: "fifo",
}

// mustBe compares an image with an mtree specification. Times in seconds are
// enough where a table of contents knows no better.
func mustBe(t *testing.T, m image, spec []byte, seconds bool) {
	t.Helper()
	want := parseMtree(t, spec)
	got := map[string]Node{}
	collect(m.Root(), got)
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if want[cleanDot(p)] == nil {
			t.Errorf("%q is there and shouldn't be", p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(want)) {
		name := p
		if name == "." {
			name = ""
		}
		n, ok := got[name]
		if !ok {
			t.Errorf("%q isn't there", p)
			continue
		}
		compare(t, m, p, n, want[p], seconds)
	}
}

func cleanDot(p string) string {
	if p == "" {
		return "."
	}
	return p
}

func collect(n Node, into map[string]Node) {
	into[n.Path()] = n
	for child := range n.Entries("") {
		collect(child, into)
	}
}

func compare(t *testing.T, m image, p string, n Node, want map[string]string, seconds bool) {
	t.Helper()
	a := n.Attr()
	got := map[string]string{
		"type": mtreeTypes[a.Type],
		"mode": fmt.Sprintf("%04o", a.Mode),
		"uid":  strconv.FormatUint(uint64(a.UID), 10),
		"gid":  strconv.FormatUint(uint64(a.GID), 10),
		"size": strconv.FormatInt(a.Size, 10),
		"time": fmt.Sprintf("%d.%09d", a.Sec, a.Nsec),
		"link": n.Target(),
	}
	if a.Type != TypeDir {
		got["nlink"] = strconv.FormatUint(uint64(a.Links), 10)
	}
	for _, x := range n.Xattrs() {
		got["xattr."+x.Name] = base64.StdEncoding.EncodeToString([]byte(x.Value))
	}
	if a.Type == TypeRegular && want["sha256digest"] != "" {
		hash := sha256.New()
		if _, err := io.Copy(hash, &openNode{fs: treeFS{m}, node: n}); err != nil {
			t.Errorf("%q: %v", p, err)
		}
		got["sha256digest"] = fmt.Sprintf("%x", hash.Sum(nil))
	}
	for key, value := range want {
		if key == "time" && seconds {
			value = strings.Split(value, ".")[0] + ".000000000"
			got[key] = strings.Split(got[key], ".")[0] + ".000000000"
		}
		if key == "mode" {
			value = strings.Repeat("0", max(0, 4-len(value))) + value
			value = value[len(value)-4:]
		}
		if key == "time" && strings.HasPrefix(value, "-") {
			continue // gomtree writes times before 1970 in a form of its own
		}
		if got[key] != value {
			t.Errorf("%q: %s is %q, not %q", p, key, got[key], value)
		}
	}
}

// readMtree reads a specification from the test data.
func readMtree(t *testing.T, fsys iofs.FS, name string) []byte {
	t.Helper()
	text, err := iofs.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
