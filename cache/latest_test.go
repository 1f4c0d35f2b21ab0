package cache

import (
	"bytes"
	"context"
	"fmt"
	"testing"
)

// What is kept in parts is made once while it is read, however small memory is.
func TestLatestOfSmallMemory(t *testing.T) {
	c, err := Open(Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // it holds nothing
	made := 0
	read := func(i int) {
		data, err := c.Keep(t.Context(), fmt.Sprint("span ", i), 4<<20, func(context.Context) ([]byte, error) {
			made++
			return bytes.Repeat([]byte{byte(i)}, 4<<20), nil
		})
		if err != nil || data[0] != byte(i) {
			t.Fatalf("span %d: %v", i, err)
		}
	}
	for i := range 10 {
		for range 32 {
			read(i)
			read(i + 1) // which is read ahead
		}
	}
	if made != 11 {
		t.Errorf("11 spans were made %d times", made)
	}
	if n := c.latest.bytes; n > maxLatest {
		t.Errorf("%d bytes are held", n)
	}
}

// Memory that is lent is given up, and comes back.
func TestLentMemory(t *testing.T) {
	m, err := newMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	held := func() (n int) {
		for i := range 64 {
			m.set(fmt.Sprint(i), make([]byte, 16<<10))
		}
		return int(m.size) + int(m.often.MaxCost())
	}
	if n := held(); n < 900<<10 {
		t.Errorf("%d bytes of 1 MiB are used", n)
	}
	m.lend(768 << 10)
	if n := held(); n > 256<<10 {
		t.Errorf("%d bytes are used with 768 KiB lent", n)
	}
	m.lend(10 << 20)
	if n := held(); n > 128<<10 || n == 0 {
		t.Errorf("%d bytes are used with all of it lent", n)
	}
	m.lend(-(10 << 20) - 768<<10)
	if n := held(); n < 900<<10 {
		t.Errorf("%d bytes of 1 MiB are used in the end", n)
	}
}
