package deflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	other "github.com/klauspost/compress/flate"
)

// A place is where a block ended: what a reader needs to go on from there.
type place struct {
	offset   int64
	bits     uint8
	inflated int
}

// inflate inflates to the end of a stream, with so many bytes of room at once.
func inflate(d *Decoder, before []byte, room int) (all []byte, places []place, err error) {
	buf := make([]byte, Window+room+Spare)
	n := copy(buf, before)
	for {
		from := n
		n, err = d.Inflate(buf, n)
		all = append(all, buf[from:n]...)
		if errors.Is(err, io.EOF) {
			return all, places, nil
		}
		if err != nil {
			return all, places, err
		}
		if d.Between() {
			offset, bits := d.Position()
			places = append(places, place{offset, bits, len(all)})
		} else if len(buf)-n > Spare {
			return all, places, fmt.Errorf("it stopped with %d bytes of room", len(buf)-n-Spare)
		}
		if n > Window {
			n = copy(buf, buf[n-Window:n])
		}
	}
}

func whole(packed string) *Input {
	return NewInputBytes(append([]byte(packed), make([]byte, Padding)...))
}

// contents are of every kind: what has long matches, short ones, near and far, and none.
func contents(t testing.TB) map[string][]byte {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var text bytes.Buffer
	for text.Len() < 120_000 {
		if r.IntN(9) == 0 && text.Len() > Window {
			n := 3 + r.IntN(300)
			from := text.Len() - Window + r.IntN(Window-n)
			text.Write(bytes.Clone(text.Bytes()[from : from+n]))
			continue
		}
		fmt.Fprintf(&text, "%d ", r.IntN(1<<r.IntN(20)))
	}
	skewed := make([]byte, 70_000) // codes of up to 15 bits
	for i := range skewed {
		skewed[i] = byte(r.ExpFloat64() * 12)
	}
	var rare []byte // each byte twice as often as the one before: the longest codes
	for i := range 17 {
		rare = append(rare, bytes.Repeat([]byte{byte(i)}, 1<<i)...)
	}
	r.Shuffle(len(rare), func(i, j int) { rare[i], rare[j] = rare[j], rare[i] })
	short := make([]byte, 0, 60_000) // matches of each offset from 1 on
	for offset := 1; len(short) < 50_000; offset = offset%40 + 1 {
		short = append(append(short, noise[len(short):len(short)+offset]...), bytes.Repeat(noise[len(short):len(short)+offset], 1+r.IntN(300/offset))...)
	}
	return map[string][]byte{
		"nothing": nil, "a byte": {7}, "zeros": make([]byte, 140_000), "noise": noise, "text": text.Bytes(),
		"skewed": skewed, "rare": rare, "short": short, "all": bytes.Join([][]byte{noise, text.Bytes(), make([]byte, 70_000), skewed, short}, nil),
	}
}

// packings are data as several programs deflate them.
func packings(t testing.TB, data []byte) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	for _, level := range []int{-2, 0, 1, 6, 9} {
		var a, b bytes.Buffer
		std, err := flate.NewWriter(&a, level)
		if err != nil {
			t.Fatal(err)
		}
		kp, err := other.NewWriter(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		for name, w := range map[string]interface {
			io.WriteCloser
			Flush() error
		}{"std": std, "klauspost": kp} {
			// Between blocks with codes of their own there are some with the fixed ones.
			short := min(len(data), 20)
			for _, part := range [][]byte{data[:short/2], data[short/2 : len(data)-short/2], data[len(data)-short/2:]} {
				if _, err := w.Write(part); err != nil {
					t.Fatal(err)
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			all[fmt.Sprintf("%s %d", name, level)] = map[string]*bytes.Buffer{"std": &a, "klauspost": &b}[name].Bytes()
		}
	}
	return all
}

const behind = "what follows the stream"

func TestInflate(t *testing.T) {
	for kind, data := range contents(t) {
		for name, packed := range packings(t, data) {
			if strings.Contains(name, "klauspost") && kind != "all" {
				continue
			}
			for how, in := range map[string]*Input{
				"whole": whole(string(packed) + behind),
				"read":  NewInput(strings.NewReader(string(packed)+behind), 1000),
				"byte":  NewInput(iotest.OneByteReader(strings.NewReader(string(packed)+behind)), 0),
				"small": NewInput(iotest.DataErrReader(strings.NewReader(string(packed)+behind)), 1<<20),
			} {
				room := map[string]int{"whole": 3000, "read": 1 << 17, "byte": 100_000, "small": 2000}[how]
				if len(data) < 3 {
					room = 1
				}
				var d Decoder
				d.Begin(in)
				got, _, err := inflate(&d, nil, room)
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%s by %s, %s: %d of %d bytes, %v", kind, name, how, len(got), len(data), err)
				}
				if rest, err := io.ReadAll(in); err != nil || string(rest) != behind {
					t.Fatalf("%s by %s, %s: %q follows, %v", kind, name, how, rest, err)
				}
				if _, err := d.Inflate(make([]byte, 1000), 0); !errors.Is(err, io.EOF) {
					t.Fatalf("after the end: %v", err)
				}
			}
		}
	}
}

// TestResume goes on at the end of each block, with no more than the window before it.
func TestResume(t *testing.T) {
	data := contents(t)["all"]
	for name, packed := range packings(t, data) {
		var d Decoder
		d.Begin(whole(string(packed)))
		_, places, err := inflate(&d, nil, 1<<17)
		if err != nil {
			t.Fatal(err)
		}
		if len(places) == 0 && !strings.HasSuffix(name, " 0") {
			t.Logf("%s makes one block of it", name)
		}
		for i, p := range places {
			if i%max(1, len(places)/20) != 0 {
				continue
			}
			window := data[max(0, p.inflated-Window):p.inflated]
			if err := d.Resume(whole(string(packed[p.offset:])), p.bits, len(window)); err != nil {
				t.Fatal(err)
			}
			got, _, err := inflate(&d, window, 5000)
			if err != nil || !bytes.Equal(got, data[p.inflated:]) {
				t.Fatalf("%s from bit %d of %d: %d of %d bytes, %v", name, p.bits, p.offset, len(got), len(data)-p.inflated, err)
			}
		}
	}
}

// TestCutShort takes bytes from the end of streams: what is inflated of the rest is
// right, and then it is said that there is too little.
func TestCutShort(t *testing.T) {
	data := contents(t)["text"][:500]
	data = append(data, contents(t)["noise"][:100]...)
	for name, packed := range packings(t, data) {
		for n := range packed {
			for _, in := range []*Input{whole(string(packed[:n])), NewInput(bytes.NewReader(packed[:n]), 0)} {
				var d Decoder
				d.Begin(in)
				got, _, err := inflate(&d, nil, 700)
				if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrCorrupt) {
					t.Fatalf("%s, %d of %d bytes: %v", name, n, len(packed), err)
				}
				if !bytes.HasPrefix(data, got) {
					t.Fatalf("%s, %d of %d bytes: what came is wrong", name, n, len(packed))
				}
			}
		}
	}
}

// TestFailedRead gives on the error of what is read.
func TestFailedRead(t *testing.T) {
	packed := packings(t, contents(t)["text"])["std 6"]
	broken := errors.New("broken")
	var d Decoder
	d.Begin(NewInput(io.MultiReader(bytes.NewReader(packed[:5000]), iotest.ErrReader(broken)), 0))
	if _, _, err := inflate(&d, nil, 1000); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	d.Begin(NewInput(nothing{}, 0))
	if _, _, err := inflate(&d, nil, 1000); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// TestNothingBeforeTheBegin has a stream refer to what stands before its first byte: to
// another one's, which it can't know.
func TestNothingBeforeTheBegin(t *testing.T) {
	secret := []byte(strings.Repeat("secret ", 9000))
	var packed bytes.Buffer
	w, err := flate.NewWriterDict(&packed, 9, secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(secret[:500]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, window := range []int{0, 3, Window} {
		var d Decoder
		if err := d.Resume(whole(packed.String()), 0, window); err != nil {
			t.Fatal(err)
		}
		got, _, err := inflate(&d, secret[len(secret)-Window:], 1000)
		if window == Window {
			if err != nil || !bytes.Equal(got, secret[:500]) {
				t.Fatalf("with the window it isn't inflated: %v", err)
			}
		} else if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes before it: %q, %v", window, got, err)
		}
	}
}

// FuzzInflate compares with Go's own: what it takes is taken, and comes out the same,
// and what it doesn't take isn't.
func FuzzInflate(f *testing.F) {
	for _, data := range contents(f) {
		for _, packed := range packings(f, data[:min(len(data), 700)]) {
			f.Add(packed, uint16(300))
		}
	}
	f.Add(described(append(make([]byte, 256), 1), []byte{1, 1}), uint16(1))
	f.Add(described(append(bytes.Repeat([]byte{8}, 255), 9, 9), []byte{2, 2}), uint16(1))
	f.Fuzz(func(t *testing.T, packed []byte, room uint16) {
		r := bytes.NewReader(packed)
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(r), 1<<22))
		if len(want) == 1<<22 {
			return
		}
		var d Decoder
		in := whole(string(packed))
		d.Begin(in)
		got, places, err := inflate(&d, nil, int(room)+1)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, and Go says %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(got, want) || in.Offset() != int64(len(packed)-r.Len()) {
			t.Fatalf("%d bytes of %d, and Go has %d of %d", len(got), in.Offset(), len(want), len(packed)-r.Len())
		}
		for _, p := range places {
			if err := d.Resume(whole(string(packed[p.offset:])), p.bits, p.inflated); err != nil {
				t.Fatal(err)
			}
			rest, _, err := inflate(&d, want[max(0, p.inflated-Window):p.inflated], 1000)
			if err != nil || !bytes.Equal(rest, want[p.inflated:]) {
				t.Fatalf("from %d on: %v", p.offset, err)
			}
		}
	})
}
