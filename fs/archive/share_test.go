package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What making an index takes is asked for before it is taken: the index is held twice.
func TestIndexAsksForRoom(t *testing.T) {
	files := make([]file, 30_000)
	for i := range files {
		files[i] = file{name: fmt.Sprintf("%s/%d/f", strings.Repeat("d", 100), i)}
	}
	tarball := pack(t, files...)
	none := errors.New("there is no room")
	for name, packed := range map[string][]byte{"tar": tarball, "gzip": members(t, tarball, 1, 6), "zstd": frames(t, tarball, 20)} {
		s := source(packed)
		asked := int64(0)
		s.Room = func(_ context.Context, n int64, wait bool) error {
			if asked += n; !wait {
				t.Errorf("%s: it doesn't wait", name)
			}
			return nil
		}
		l := openLayer(t, s)
		want := 2 * l.full.Load().bytes()
		if name != "tar" {
			want += passBase
		}
		if asked < want || asked > 4*want {
			t.Errorf("%s: %d KiB were asked for, %d are held", name, asked>>10, want>>10)
		}
		asked = 0
		s = source(packed)
		s.Room = func(_ context.Context, n int64, _ bool) error {
			if asked += n; asked > want/2 {
				return none
			}
			return nil
		}
		if _, err := Open(t.Context(), s); !errors.Is(err, none) || isWrong(err) {
			t.Errorf("%s, without room: %v", name, err)
		}
	}
}
