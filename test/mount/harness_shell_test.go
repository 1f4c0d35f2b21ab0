package mount

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A shell stands in a directory and runs one command after the other there.
type shell struct {
	in  io.Writer
	out *bufio.Reader
}

// shellIn starts a shell in a directory.
func shellIn(t testing.TB, dir string) *shell {
	t.Helper()
	cmd := exec.Command("sh", "-c", `cd -P "$0" && echo there && exec sh`, dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	outReader, outWriter := io.Pipe()
	cmd.Stdout = outWriter
	start(t, cmd)
	t.Cleanup(func() {
		_ = in.Close()        // the shell ends
		_ = outReader.Close() // and nobody reads on
	})
	s := &shell{in: in, out: bufio.NewReader(outReader)}
	s.line(t, "there")
	return s
}

// line reads one line that is expected.
func (s *shell) line(t testing.TB, want string) {
	t.Helper()
	line := make(chan string, 1)
	go func() {
		got, err := s.out.ReadString('\n')
		if err != nil {
			got += err.Error()
		}
		line <- strings.TrimSuffix(got, "\n")
	}()
	select {
	case got := <-line:
		if got != want {
			t.Errorf("in the directory opened before: %q, not %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("in the directory opened before: no answer within %s", patience)
	}
}

// does runs a command that prints one line.
func (s *shell) does(t testing.TB, command, want string) {
	t.Helper()
	if _, err := io.WriteString(s.in, command+"\n"); err != nil {
		t.Fatal(err)
	}
	s.line(t, want)
}
