package deflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"testing"

	other "github.com/klauspost/compress/flate"
)

// BenchmarkInflate and the two others inflate the same text.
func BenchmarkInflate(b *testing.B) {
	data, packed := benchmarked(b)
	buf := make([]byte, Window+256<<10+Spare)
	var d Decoder
	for b.Loop() {
		d.Begin(NewInput(bytes.NewReader(packed), 512<<10))
		total := 0
		for n := 0; ; {
			from := n
			var err error
			n, err = d.Inflate(buf, n)
			if total += n - from; errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			if len(buf)-n <= Spare {
				n = copy(buf, buf[n-Window:n])
			}
		}
		if total != len(data) {
			b.Fatal(total)
		}
	}
}

func BenchmarkKlauspost(b *testing.B) {
	_, packed := benchmarked(b)
	for b.Loop() {
		if _, err := io.Copy(io.Discard, other.NewReader(bytes.NewReader(packed))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStandard(b *testing.B) {
	_, packed := benchmarked(b)
	for b.Loop() {
		if _, err := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(packed))); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarked(b *testing.B) (data, packed []byte) {
	b.Helper()
	data = bytes.Repeat(contents(b)["all"], 10)
	b.SetBytes(int64(len(data)))
	return data, packings(b, data)["std 6"]
}
