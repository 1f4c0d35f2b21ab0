package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience is how long anything may take. It bounds a hang, it measures nothing.
const patience = 3 * time.Minute

// A process is a program that runs until it is stopped. What it prints is a file.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed at its end
}

// startProcess starts a program with the cluster's programs on its PATH. Its log is
// added to the one of the process that had the name before.
func (c *cluster) startProcess(name, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(c.dir, "logs", name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the program has it
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = c.environment()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in its log
	}()
	return p, nil
}

// environment is what every program runs in: no credentials, settings or proxies of
// the person who runs the tests, and the cluster's programs on the PATH.
func (c *cluster) environment(more ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "ORASFS_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY")
	})
	// The last of two variables of one name counts.
	env = append(env, "PATH="+filepath.Join(tools, "kubernetes")+":"+os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC",
		"HOME="+c.path("home"), "KUBECACHEDIR="+c.path("kubectl"), "OTEL_TRACES_EXPORTER=none")
	return append(env, more...)
}

// end sends a signal and waits for the end, which is brought about if it takes too long.
func (p *process) end(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal) // it may have ended just now
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // likewise
		<-p.done
	}
}

// until asks a question again and again until the answer is yes, and gives what was
// seen last if it never was, or if one of the processes that it takes has ended.
func until(what string, yes func() (bool, string), takes ...*process) error {
	deadline := time.Now().Add(patience)
	for {
		ok, seen := yes()
		if ok {
			return nil
		}
		for _, p := range takes {
			select {
			case <-p.done:
				return fmt.Errorf("%s has ended, before: %s; its log is %s, and last seen was: %s", p.name, what, p.log, seen)
			default:
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %s; last seen was: %s", patience, what, seen)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
