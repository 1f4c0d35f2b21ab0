package fs

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Complaints are the lines in the log that say why something failed. One that
// comes again within complainEvery is counted instead: programs that try again
// at once would fill the log with it. The count is in the next line of it, and
// nobody's count is lost: what goes quiet is written once more as soon as
// anything fails after that time, or when the mount ends.
type complaints struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex                           // guards what follows
	recent *simplelru.LRU[complaint, *repeated] // in the order in which they were written
}

const (
	complainEvery = 10 * time.Second
	maxComplaints = 256 // that are counted at the same time
)

// A complaint is what makes two failures the same. One without an errno is a
// warning: something else was given instead.
type complaint struct{ operation, reference, errno, reason string }

// repeated is what became of a complaint since it was written.
type repeated struct {
	written time.Time
	times   int
}

// A remark is a line for the log. Lines are written when nothing is locked.
type remark struct {
	complaint
	times int
}

func newComplaints(log *slog.Logger) *complaints {
	c := &complaints{log: log, now: time.Now}
	recent, err := simplelru.NewLRU[complaint, *repeated](maxComplaints, nil)
	if err != nil {
		panic(err) // a constant positive size can't fail
	}
	c.recent = recent
	return c
}

// add writes that an operation failed, or counts it.
func (c *complaints) add(operation, reference, errno string, err error) {
	what := complaint{operation, reference, errno, reasonOf(err)}
	now := c.now()
	c.mu.Lock()
	before, again := c.recent.Peek(what) // which leaves the order as it is
	if again && now.Sub(before.written) < complainEvery {
		before.times++
		c.mu.Unlock()
		return
	}
	line := remark{complaint: what}
	if again {
		line.times = before.times
		c.recent.Remove(what)
	}
	lines := c.forget(now)
	c.recent.Add(what, &repeated{written: now})
	c.mu.Unlock()
	c.write(append(lines, line)...)
}

// warn is add for what failed and was done without.
func (c *complaints) warn(operation, reference string, err error) {
	c.add(operation, reference, "", err)
}

// forget makes room for one more, and gives up those that have gone quiet.
func (c *complaints) forget(now time.Time) []remark {
	var lines []remark
	for {
		what, last, ok := c.recent.GetOldest()
		if !ok || now.Sub(last.written) < complainEvery && c.recent.Len() < maxComplaints {
			return lines
		}
		c.recent.RemoveOldest()
		if last.times > 0 {
			lines = append(lines, remark{what, last.times})
		}
	}
}

// flush writes every count that is left.
func (c *complaints) flush() {
	c.mu.Lock()
	lines := c.forget(c.now().Add(complainEvery))
	c.mu.Unlock()
	c.write(lines...)
}

func (c *complaints) write(lines ...remark) {
	for _, l := range lines {
		level, attributes := slog.LevelWarn, []any{"reference", l.reference}
		if l.errno != "" {
			level, attributes = slog.LevelError, append(attributes, "errno", l.errno)
		}
		attributes = append(attributes, "error", l.reason)
		if l.times > 0 {
			attributes = append(attributes, "repeated", l.times)
		}
		c.log.Log(context.Background(), level, l.operation, attributes...)
	}
}

// reasonOf is what an error says, without the port that a connection had at our
// end: that is another one each time.
func reasonOf(err error) string {
	reason := err.Error()
	var connection *net.OpError
	if errors.As(err, &connection) && connection.Source != nil {
		reason = strings.ReplaceAll(reason, connection.Source.String()+"->", "")
	}
	return reason
}
