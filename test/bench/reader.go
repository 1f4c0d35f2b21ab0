//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The readings that no usual program does are done by this one, started once
// more as "bench read HOW FILE ARGUMENT": what a reader waits for may come
// through the first, which must not wait with it.
const readerCommand = "read"

const page = 4096

// read does such a reading.
func (w *workplace) read(ctx context.Context, how, file, argument string) (taken, error) {
	var out bytes.Buffer
	var t taken
	self, err := os.Executable()
	if err != nil {
		return t, err
	}
	if err := w.runTo(ctx, &out, self, readerCommand, how, file, argument); err != nil {
		return t, err
	}
	return t, json.Unmarshal(out.Bytes(), &t)
}

// taken is how long each of the things took that a reading consists of, in
// seconds.
type taken struct{ Mean, Median, Max float64 }

func summary(times []time.Duration) taken {
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	slices.Sort(times)
	return taken{
		Mean:   sum.Seconds() / float64(len(times)),
		Median: times[len(times)/2].Seconds(),
		Max:    times[len(times)-1].Seconds(),
	}
}

// reader is the other process.
func reader(args []string) error {
	if len(args) != 3 {
		return errors.New("HOW FILE ARGUMENT are needed")
	}
	how := map[string]func(file, argument string) (taken, error){
		"random": readAtRandom, "reopen": reopen, "open": keepOpening, "map": readMap, "map backwards": readMapBackwards,
	}[args[0]]
	if how == nil {
		return fmt.Errorf("no reading is called %s", args[0])
	}
	t, err := how(args[1], args[2])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(t)
}

// readAtRandom reads so many pages of a file at random places, the same each
// time, and tells the kernel so as fio does.
func readAtRandom(file, count string) (t taken, err error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return t, err
	}
	f, size, err := openFile(file)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		return t, err
	}
	buf, places := make([]byte, page), places(size)
	began := time.Now()
	for range n {
		if _, err := f.ReadAt(buf, places()); err != nil {
			return t, err
		}
	}
	return taken{Mean: time.Since(began).Seconds() / float64(n)}, nil
}

// reopen opens a file, reads a page at a random place and closes it, so often.
func reopen(file, count string) (taken, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return taken{}, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return taken{}, err
	}
	buf, places := make([]byte, page), places(info.Size())
	var times []time.Duration
	for range n {
		began := time.Now()
		f, err := os.Open(file)
		if err != nil {
			return taken{}, err
		}
		if _, err := f.ReadAt(buf, places()); err != nil {
			return taken{}, errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return taken{}, err
		}
		times = append(times, time.Since(began))
	}
	return summary(times), nil
}

// keepOpening opens a file and closes it, twenty times a second at most, for a
// time.
func keepOpening(file, duration string) (taken, error) {
	d, err := time.ParseDuration(duration)
	if err != nil {
		return taken{}, err
	}
	var times []time.Duration
	for start := time.Now(); time.Since(start) < d; time.Sleep(50 * time.Millisecond) {
		began := time.Now()
		f, err := os.Open(file)
		if err != nil {
			return taken{}, err
		}
		times = append(times, time.Since(began))
		if err := f.Close(); err != nil {
			return taken{}, err
		}
	}
	return summary(times), nil
}

// readMap maps a file and looks at every page of its parts, OFFSET+LENGTH
// each, one after the other.
func readMap(file, parts string) (taken, error) {
	return lookAt(file, parts, func([]int64) {})
}

// readMapBackwards does the same from the last page to the first.
func readMapBackwards(file, parts string) (taken, error) {
	return lookAt(file, parts, slices.Reverse)
}

func lookAt(file, parts string, reorder func([]int64)) (t taken, err error) {
	f, size, err := openFile(file)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, unix.Munmap(data)) }()
	var places []int64
	for part := range strings.SplitSeq(parts, ",") {
		var offset, length int64
		if _, err := fmt.Sscanf(part, "%d+%d", &offset, &length); err != nil {
			return t, fmt.Errorf("part %q: %w", part, err)
		}
		for i := offset; i < offset+length; i += page {
			places = append(places, i)
		}
		places = append(places, offset+length-1)
	}
	reorder(places)
	var sum byte
	began := time.Now()
	for _, i := range places {
		sum += data[i]
	}
	took := time.Since(began).Seconds()
	runtime.KeepAlive(sum) // or the compiler may leave the looking out
	return taken{Mean: took}, nil
}

func openFile(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// places gives random places of whole pages, the same for the same size.
func places(size int64) func() int64 {
	random := rand.New(rand.NewPCG(1, 2))
	return func() int64 { return random.Int64N(size/page) * page }
}
