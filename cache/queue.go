package cache

import (
	"sync"
	"sync/atomic"
	"time"
)

// A queue is what is to be written to the disk: neither a reader nor a connection
// waits for it, unless the disk is slower than the network for long. Then a
// connection waits for a second, and what it brought isn't kept.
type queue struct {
	jobs  chan job
	ended chan struct{}
	once  sync.Once
	waits bool // see Options.WaitForDisk; set before anything is put
	group sync.WaitGroup

	running atomic.Int64 // jobs that are waiting or under way
	stuck   atomic.Int64 // until when nobody waits any more, in Unix nanoseconds
}

// A job is done, or skipped.
type job struct{ do, skip func() }

const (
	maxQueued    = 64 // chunks: 16 MiB
	queueWriters = 2
	// queuePatience is how long a connection waits for the disk, and stuckPause
	// how long none does after that.
	queuePatience = time.Second
	stuckPause    = 10 * time.Second
)

func newQueue() *queue {
	q := &queue{jobs: make(chan job, maxQueued), ended: make(chan struct{})}
	for range queueWriters {
		q.group.Go(q.write)
	}
	return q
}

// put has something written.
func (q *queue) put(do, skip func()) {
	q.running.Add(1)
	j := job{func() { do(); q.running.Add(-1) }, func() { skip(); q.running.Add(-1) }}
	select {
	case <-q.ended:
		j.skip()
		return
	default:
	}
	select {
	case q.jobs <- j:
		return
	default:
	}
	if q.waits {
		select {
		case q.jobs <- j:
		case <-q.ended:
			j.skip()
		}
		return
	}
	if time.Now().UnixNano() < q.stuck.Load() {
		j.skip()
		return
	}
	patience := time.NewTimer(queuePatience)
	defer patience.Stop()
	select {
	case q.jobs <- j:
	case <-q.ended:
		j.skip()
	case <-patience.C:
		q.stuck.Store(time.Now().Add(stuckPause).UnixNano())
		j.skip()
	}
}

// write is the goroutine of a writer.
func (q *queue) write() {
	for {
		select {
		case j := <-q.jobs:
			j.do()
		case <-q.ended:
			for {
				select {
				case j := <-q.jobs:
					j.do()
				default:
					return
				}
			}
		}
	}
}

// end writes what is queued, and takes nothing more.
func (q *queue) end() {
	q.once.Do(func() { close(q.ended) })
	q.group.Wait()
}
