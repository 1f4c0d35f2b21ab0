package differential

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// taskVariable makes this test binary, started again, read mounts for the
// tests: a filesystem that hangs must fail a test, not hang it.
const taskVariable = "ORASTEST_TASK"

// A request asks for what is below a directory.
type request struct {
	Root string
	// Early are looked up first, all at once and without listing any directory.
	Early []string
	// Absent must not be there, whatever the listings say. They are looked up last.
	Absent []string
}

// An answer is what was found. Those to Early come one by one, and at last the
// rest.
type answer struct {
	Early   string
	IsEarly bool
	Fact    fact
	Tree    tree
	There   []string // of Absent
}

// serveRequests is the task: it answers until there is nothing more to read.
func serveRequests(r io.Reader, w io.Writer) error {
	in, buffered := gob.NewDecoder(r), bufio.NewWriter(w)
	out := gob.NewEncoder(buffered)
	var mu sync.Mutex // guards out
	send := func(a answer) error {
		mu.Lock()
		defer mu.Unlock()
		return errors.Join(out.Encode(a), buffered.Flush())
	}
	for {
		var q request
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var early sync.WaitGroup
		for _, p := range q.Early {
			early.Go(func() {
				f, _ := readFact(filepath.Join(q.Root, p))
				_ = send(answer{Early: p, IsEarly: true, Fact: f}) // the next one fails too
			})
		}
		early.Wait()
		a := answer{Tree: readTree(q.Root)}
		for _, p := range q.Absent {
			if _, err := os.Lstat(filepath.Join(q.Root, p)); !errors.Is(err, os.ErrNotExist) {
				a.There = append(a.There, p)
			}
		}
		if err := send(a); err != nil {
			return err
		}
	}
}

// patience is how long a reader waits for all of an image: longer than a read
// may take (twice --timeout), and some for a busy machine.
const patience = 150 * time.Second

// headStart is how long a held layer's bytes stay away at most: enough for what
// can be answered without them. Of a large one that is more, and comes later.
const (
	headStart      = 60 * time.Millisecond
	largeHeadStart = 600 * time.Millisecond
)

var errHangs = errors.New("no answer")

// A reader is a process that reads mounts.
type reader struct {
	patience time.Duration
	cmd      *exec.Cmd
	in       io.WriteCloser
	send     *gob.Encoder
	answers  chan answer
	ended    chan error // why answers has ended
}

func startReader() (*reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &reader{patience: patience, cmd: exec.Command(self), answers: make(chan answer), ended: make(chan error, 1)}
	r.cmd.Env = append(os.Environ(), taskVariable+"=read")
	r.cmd.Stderr = os.Stderr
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	r.send = gob.NewEncoder(r.in)
	go func() {
		defer close(r.answers)
		for in := gob.NewDecoder(out); ; {
			var a answer
			if err := in.Decode(&a); err != nil {
				r.ended <- err
				return
			}
			r.answers <- a
		}
	}()
	return r, nil
}

// read asks for a tree. early is called with each early answer; release once all
// are there or the head start is over.
func (r *reader) read(q request, head time.Duration, early func(path string, f fact), release func()) (answer, error) {
	if err := r.send.Encode(q); err != nil {
		return answer{}, fmt.Errorf("ask the reader: %w", err)
	}
	end, start := time.After(r.patience), time.After(head)
	for left := len(q.Early); ; {
		if left == 0 && start != nil {
			start = nil
			release()
		}
		select {
		case a, ok := <-r.answers:
			switch {
			case !ok:
				return a, fmt.Errorf("the reader ended: %w", <-r.ended)
			case !a.IsEarly:
				return a, nil
			}
			left--
			early(a.Early, a.Fact)
		case <-start:
			start = nil
			release()
		case <-end:
			return answer{}, fmt.Errorf("%w within %s", errHangs, r.patience)
		}
	}
}

// stop ends the process. One that hangs in a mount ends when that does.
func (r *reader) stop() error {
	err := r.in.Close()
	stuck := time.AfterFunc(10*time.Second, func() { _ = r.cmd.Process.Kill() })
	defer stuck.Stop()
	for range r.answers { // those that nobody waited for
	}
	return errors.Join(err, r.cmd.Wait())
}
