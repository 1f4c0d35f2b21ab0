package differential

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// orasfs is the program under test, which TestMain builds.
var orasfs string

// A lab is a registry, a mount of it and a process that reads the mount.
type lab struct {
	dir      string // of all that the lab writes
	registry *fakeregistry.Registry
	server   *httptest.Server
	reader   *reader
	daemon   *exec.Cmd
	ended    chan error // the daemon's end
	images   int        // that were pushed
}

// repo is the repository of all images, each of which is a tag.
const repo = "images"

func newLab() (l *lab, err error) {
	l = &lab{registry: fakeregistry.New()}
	if l.dir, err = os.MkdirTemp("", "orasfs-differential-"); err != nil {
		return nil, err
	}
	l.server = httptest.NewServer(l.registry)
	if err := os.Mkdir(l.mountpoint(), 0o755); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if err := l.mount(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) mountpoint() string { return filepath.Join(l.dir, "mnt") }
func (l *lab) logFile() string    { return filepath.Join(l.dir, "log") }

// mount starts the daemon and waits until the mount is there.
func (l *lab) mount() error {
	log, err := os.OpenFile(l.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the daemon has its own
	l.daemon = exec.Command(orasfs, "mount", "--foreground", "--cache-dir", filepath.Join(l.dir, "cache"),
		l.server.Listener.Addr().String(), l.mountpoint())
	l.daemon.Env = l.environment()
	l.daemon.Stdout, l.daemon.Stderr = log, log
	if err := l.daemon.Start(); err != nil {
		return err
	}
	l.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(l.daemon, l.ended)
	for range 1000 {
		if mounted(l.mountpoint()) {
			l.reader, err = startReader()
			return err
		}
		select {
		case err := <-l.ended:
			l.daemon = nil
			return fmt.Errorf("the daemon ended: %w\n%s", err, l.log())
		case <-time.After(30 * time.Millisecond):
		}
	}
	return fmt.Errorf("no mount after 30 s\n%s", l.log())
}

// environment holds no settings, proxies and credentials of who runs the tests.
func (l *lab) environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "ORASFS_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY")
	})
	return append(env, "LC_ALL=C", "DOCKER_CONFIG="+filepath.Join(l.dir, "no-credentials"))
}

func mounted(dir string) bool {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(mounts), " "+dir+" fuse.orasfs ")
}

// unmount ends the mount, the daemon and the reader, by force where need be,
// and tells what was wrong with them.
func (l *lab) unmount() error {
	var failed []error
	if l.reader != nil {
		failed = append(failed, l.reader.stop())
		l.reader = nil
	}
	if l.daemon == nil {
		return errors.Join(failed...)
	}
	umount := exec.Command(orasfs, "umount", l.mountpoint())
	umount.Env = l.environment()
	if out, err := umount.CombinedOutput(); err != nil {
		failed = append(failed, fmt.Errorf("umount: %w: %s", err, out))
	}
	select {
	case err := <-l.ended:
		failed = append(failed, err)
	case <-time.After(time.Minute):
		_ = l.daemon.Process.Signal(syscall.SIGQUIT) // its stacks, into the log
		failed = append(failed, errors.New("the daemon goes on after unmount"))
		time.AfterFunc(5*time.Second, func() { _ = l.daemon.Process.Kill() })
		failed = append(failed, <-l.ended)
	}
	l.daemon = nil
	if mounted(l.mountpoint()) {
		failed = append(failed, errors.New("still mounted"), exec.Command("umount", "-l", l.mountpoint()).Run())
	}
	for _, bad := range []string{"panic", "fatal error:"} {
		if strings.Contains(l.log(), bad) {
			failed = append(failed, fmt.Errorf("the daemon's log holds %q", bad))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("%w\n%s", err, l.log())
	}
	return nil
}

// log is the end of what the daemon has logged.
func (l *lab) log() string {
	content, _ := os.ReadFile(l.logFile()) //nolint:errcheck // none then
	return string(content[max(0, len(content)-8000):])
}

func (l *lab) restart() error { return errors.Join(l.unmount(), l.mount()) }

// close leaves nothing behind.
func (l *lab) close() error {
	err := l.unmount()
	l.server.CloseClientConnections() // those that are held too
	l.server.Close()
	if mounted(l.mountpoint()) {
		return err
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// push adds an image to the registry, and gives where the mount shows its root
// file system and its layers' digests.
func (l *lab) push(i *image) (root string, layers []digest.Digest) {
	config := ocispec.Image{Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"}, RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for k := range i.layers {
		b := i.layers[k].blob()
		desc := l.registry.AddBlob(repo, b.packed)
		desc.MediaType = b.mediaType
		m.Layers, layers = append(m.Layers, desc), append(layers, desc.Digest)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(b.tar))
	}
	m.Config = l.registry.AddBlob(repo, must(json.Marshal(config)))
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	l.images++
	tag := fmt.Sprintf("v%d", l.images)
	l.registry.AddManifest(repo, tag, m.MediaType, must(json.Marshal(m)))
	return filepath.Join(l.mountpoint(), repo, "_tags", tag, "rootfs"), layers
}

// hold keeps a layer's bytes from one on until release is called.
func (l *lab) hold(d digest.Digest, from int64) (release func()) {
	until := make(chan struct{})
	remove := l.registry.Inject(fakeregistry.Fault{
		Method: "GET", Path: d.String(), Hang: true, CutAt: from, InBlob: true, Until: until,
	})
	return func() {
		remove()
		close(until)
	}
}
