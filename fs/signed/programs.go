package signed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds of programs. Those that containerd has by default are the same.
const (
	// MaxPrograms is how many a directory may hold. containerd leaves out the others;
	// here they are an error, since one left out would deny nothing.
	MaxPrograms = 10
	maxOutput   = 32 << 10 // bytes that are kept of what one prints
	maxReason   = 1 << 10  // bytes of that which are told
	// atOnce is how many run at the same time.
	atOnce = 8
	// afterwards is how long a program's output is waited for once it has ended, or was
	// ended: what it started may hold it.
	afterwards = time.Second
)

// Programs are the verifiers in a directory: each file in it is a program that is told
// of a manifest, and allows it by its exit code, 0. It is containerd's contract
// (docs/image-verification.md there), and stricter in what that leaves open: a directory
// that is empty, or gone, denies.
type Programs struct {
	dir     string
	timeout time.Duration // of each program
	log     *slog.Logger
	slots   chan struct{}
	sums    atomic.Pointer[sums]
}

var _ Verifier = (*Programs)(nil)

// OpenPrograms finds what is wrong with a directory. It is looked into again for every
// question.
func OpenPrograms(dir string, timeout time.Duration, log *slog.Logger) (*Programs, error) {
	p := &Programs{dir: dir, timeout: timeout, log: log, slots: make(chan struct{}, atOnce)}
	_, err := p.Identity()
	return p, err
}

// programs are the files of the programs, by name.
func (p *Programs) programs() ([]os.FileInfo, error) {
	dir, err := os.Stat(p.dir)
	if err == nil {
		err = ownersAlone(p.dir, dir)
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(p.dir) // sorted
	switch {
	case err != nil:
		return nil, err
	case len(entries) == 0:
		return nil, fmt.Errorf("%s holds no verifier", p.dir)
	case len(entries) > MaxPrograms:
		return nil, fmt.Errorf("%s holds %d files, at most %d are run", p.dir, len(entries), MaxPrograms)
	}
	list := make([]os.FileInfo, len(entries))
	for i, e := range entries {
		path := filepath.Join(p.dir, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return nil, fmt.Errorf("%s is no program: every file of the directory has to be one", path)
		}
		if err := ownersAlone(path, info); err != nil {
			return nil, err
		}
		list[i] = named{info, e.Name()}
	}
	return list, nil
}

// ownersAlone refuses a file that anybody may write: it decides what is trusted.
func ownersAlone(path string, info os.FileInfo) error {
	if info.Mode()&0o002 != 0 {
		return fmt.Errorf("%s may be written by anybody (mode %v)", path, info.Mode().Perm())
	}
	return nil
}

// A named is a file by the name that a link to it may have.
type named struct {
	os.FileInfo
	name string
}

func (n named) Name() string { return n.name }

// Verify implements Verifier. A registry that can't be reached isn't held against the
// manifest: the programs would have to ask it as well.
func (p *Programs) Verify(ctx context.Context, s Subject) (string, error) {
	list, err := p.programs()
	if err != nil {
		return "", &DeniedError{Who: "the verifiers", Why: err.Error()}
	}
	if err := s.Attached.Reachable(ctx); err != nil {
		return "", err
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return "", ctx.Err()
		}
		return "", &DeniedError{Who: "the verifiers", Why: "those that run take too long"}
	}
	var all []string
	for _, program := range list {
		reason, err := p.run(ctx, program.Name(), s)
		if err != nil {
			return "", err
		}
		all = append(all, strings.TrimSuffix("verifier "+program.Name()+": "+reason, ": "))
	}
	return strings.Join(all, "; "), nil
}

// run asks one program, and gives what it printed.
func (p *Programs) run(ctx context.Context, name string, s Subject) (reason string, err error) {
	descriptor, err := json.Marshal(s.Descriptor)
	if err != nil {
		return "", err
	}
	within, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	//nolint:gosec // what the user's directory holds
	cmd := exec.CommandContext(within, filepath.Join(p.dir, name),
		"-name", s.Name, "-digest", s.Descriptor.Digest.String(), "-stdin-media-type", ocispec.MediaTypeDescriptor)
	var stdout, stderr output
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(descriptor), &stdout, &stderr
	cmd.Env, cmd.Dir = environment(), "/"
	// A group of its own, so that what it started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = afterwards
	err = cmd.Run()
	if cmd.Process != nil {
		_ = killGroup(cmd) // mostly nobody is left in it
	}
	reason = stdout.text()
	p.log.Debug("verifier", "program", name, "reference", s.Name, "error", err, "stdout", reason, "stderr", stderr.text())
	return reason, p.judge(ctx, within, name, reason, cmd.ProcessState, err)
}

// judge is nil where a program has allowed.
func (p *Programs) judge(ctx, within context.Context, name, reason string, state *os.ProcessState, err error) error {
	var why string
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case within.Err() != nil:
		why = fmt.Sprintf("it took longer than %s", p.timeout)
		if ctx.Err() != nil {
			why = "it took too long"
		}
	case state == nil:
		why = fmt.Sprintf("it can't be run: %v", err)
	case !state.Exited():
		why = "it crashed: " + state.String()
	case state.ExitCode() != 0:
		why = strings.TrimSuffix(fmt.Sprintf("exit code %d: %s", state.ExitCode(), reason), ": ")
	default:
		return nil // with its output or without
	}
	return &DeniedError{Who: "verifier " + name, Why: why}
}

func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// environment is what programs get of ours: nothing that is meant for orasfs, a
// password among that.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ORASFS_") && !strings.HasPrefix(v, "_ORASFS_") {
			env = append(env, v)
		}
	}
	return env
}

// An output is the beginning of what a program prints. The rest is taken all the same,
// so that the program isn't held up.
type output struct {
	kept []byte
	more bool
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	room := min(len(p), maxOutput-len(o.kept))
	o.kept = append(o.kept, p[:room]...)
	o.more = o.more || room < len(p)
	return len(p), nil
}

// text is what was printed, on one line.
func (o *output) text() string {
	words := strings.Join(strings.Fields(strings.ToValidUTF8(string(o.kept), "?")), " ")
	words = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, words)
	if len(words) > maxReason {
		words, o.more = strings.ToValidUTF8(words[:maxReason], ""), true
	}
	if o.more {
		words += " …"
	}
	return words
}

// sums is the identity of files that looked like that.
type sums struct{ looks, identity string }

// Identity implements Verifier: it changes with the content of the directory. Files are
// read again once they look different.
func (p *Programs) Identity() (string, error) {
	list, err := p.programs()
	if err != nil {
		return "", err
	}
	var looks strings.Builder
	for _, f := range list {
		fmt.Fprintf(&looks, "%q %d %d\n", f.Name(), f.Size(), f.ModTime().UnixNano())
	}
	if before := p.sums.Load(); before != nil && before.looks == looks.String() {
		return before.identity, nil
	}
	all := sha256.New()
	for _, program := range list {
		one := sha256.New()
		if err := copyFile(one, filepath.Join(p.dir, program.Name())); err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(all, "%q %x\n", program.Name(), one.Sum(nil)) // a hash never fails
	}
	identity := fmt.Sprintf("programs-%x", all.Sum(nil))
	p.sums.Store(&sums{looks.String(), identity})
	return identity, nil
}

func copyFile(to io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	_, err = io.Copy(to, file)
	return err
}
