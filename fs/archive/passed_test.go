package archive

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// What a pass has come by is right, and grows by all that a span has.
func TestPassed(t *testing.T) {
	content := mixed(20<<20, 8)
	tooLong := strings.Repeat("n", 300)
	files := []file{{name: tooLong}, {name: "first", content: "1"}, {name: "d/"}}
	for i := range 200 {
		files = append(files, file{name: fmt.Sprintf("d/%03d", i), content: string(content[i*100_000:][:100_000])})
	}
	tarball := pack(t, append(files, file{name: "last", hard: "first"})...)
	for name, packed := range map[string][]byte{"gzip": members(t, tarball, 3, 1), "zstd": frames(t, tarball, 50)} {
		s := source(packed)
		seen, shown := 0, 0
		s.Passed = func(l *Layer) {
			shown++
			m := applied(t, How{}, l)
			if !m.Partial() || l.Verified() {
				t.Errorf("%s: it seems to be all", name)
			}
			if _, ok := m.At("first"); !ok {
				t.Errorf("%s: what came first isn't there", name)
			}
			d, _ := m.At("d")
			count := 0
			for n := range d.Entries("") {
				var i int
				if _, err := fmt.Sscanf(n.Name(), "%d", &i); err != nil {
					t.Fatal(err)
				}
				if i != count {
					t.Fatalf("%s: %s comes after %d others", name, n.Name(), count)
				}
				count++
			}
			if count < seen+10 {
				t.Errorf("%s: %d files after %d", name, count, seen)
			}
			seen = count
			n, _ := m.At(fmt.Sprintf("d/%03d", count-1))
			p := make([]byte, 100_000)
			if _, err := m.readFile(n, p, 0); err != nil || !bytes.Equal(p, content[(count-1)*100_000:][:100_000]) {
				t.Errorf("%s: file %d: %v", name, count-1, err)
			}
		}
		m := applied(t, How{}, openLayer(t, s))
		if shown < 3 || m.Partial() {
			t.Errorf("%s: shown %d times", name, shown)
		}
		if n, ok := m.At("last"); !ok || n.Attr().Links != 2 {
			t.Errorf("%s: in the end: %v", name, n)
		}
	}
}
