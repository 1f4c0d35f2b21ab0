package test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/resolver"
	"github.com/orasfs/orasfs/test/fakeregistry"
)

// atOnce is how many tests run at the same time: most of them wait.
const atOnce = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err) // the flag is there, and this is a number
		}
	}
	os.Exit(m.Run())
}

// largeSize is that of a blob which isn't verified before its first byte.
const largeSize = cache.SmallBlob + 1<<20 + 12345

// large is the blob that all tests read.
var large = sync.OnceValue(func() (b struct {
	content []byte
	desc    ocispec.Descriptor
},
) {
	b.content = make([]byte, largeSize)
	if _, err := fakeregistry.Generated(1, largeSize).ReadAt(b.content, 0); err != nil {
		panic(err) // Generated doesn't fail
	}
	b.desc = ocispec.Descriptor{Digest: digest.FromBytes(b.content), Size: largeSize}
	return b
})

// serveLarge is a registry with the large blob, and its HOST:PORT.
func serveLarge(t *testing.T) (fake *fakeregistry.Registry, host string) {
	t.Helper()
	fake = fakeregistry.New()
	fake.AddWrongBlob("app", large().desc.Digest, large().content) // right, and not hashed once more
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, server.Listener.Addr().String()
}

// A stack is what lies below a file: a registry's client and a cache, put together
// as package fs does.
type stack struct {
	timeout time.Duration
	cache   *cache.Cache
	key     cache.Key
	fetcher cache.Fetcher
	close   func()
}

func newStack(t *testing.T, host string, timeout time.Duration, o cache.Options) *stack {
	t.Helper()
	credentials := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(credentials, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := resolver.NewRegistry(host, resolver.Options{RegistryConfigs: []string{credentials}, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	repository, err := r.Repository("app")
	if err != nil {
		t.Fatal(err)
	}
	o.Timeout = timeout
	c, err := cache.Open(o)
	if err != nil {
		t.Fatal(errors.Join(err, r.Close()))
	}
	desc := large().desc
	s := &stack{
		timeout: timeout, cache: c,
		key:     cache.Key{Origin: host, Digest: desc.Digest, Size: desc.Size},
		fetcher: repository.Blob(desc),
	}
	s.close = sync.OnceFunc(func() {
		if err := errors.Join(c.Close(), r.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.close)
	return s
}

// read reads n bytes from off on in pieces, as cat does, until the first error; right
// is whether all that came is what the blob has there. Each piece has to come, or
// not, within twice the timeout, but one for which all of the blob is verified: a minute
// is for that, and for what a busy machine takes.
func (s *stack) read(t *testing.T, off, n int64) (right bool, err error) {
	t.Helper()
	b, err := s.cache.Blob(s.key, s.fetcher)
	if err != nil {
		return true, err
	}
	r := b.Reader()
	defer func() {
		if err := errors.Join(r.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	}()
	right = true
	p := make([]byte, 128<<10)
	for end := off + n; off < end; {
		began := time.Now()
		m, err := r.ReadAt(t.Context(), p[:min(int64(len(p)), end-off)], off)
		if took := time.Since(began); took > 2*s.timeout+time.Minute {
			t.Errorf("a read took %s, with a timeout of %s", took, s.timeout)
		}
		right = right && bytes.Equal(p[:m], large().content[off:off+int64(m)])
		off += int64(m)
		if err != nil && (!errors.Is(err, io.EOF) || off < end) {
			return right, err
		}
	}
	return right, nil
}

// asksFromStart is a condition of a fault: the request for the blob's first bytes,
// for which a reader waits.
func asksFromStart(req *http.Request) bool {
	return strings.HasPrefix(req.Header.Get("Range"), "bytes=0-")
}
