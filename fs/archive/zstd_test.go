package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// zstdFrame is a frame with a window of 1<<bits bytes, and the content as it is.
func zstdFrame(bits byte, content string) []byte {
	block := len(content)<<3 | 1 // the last, and raw
	return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, (bits - 10) << 3, byte(block), byte(block >> 8), byte(block >> 16)}, content...)
}

func TestZstdReaderReadsFrameByFrame(t *testing.T) {
	content := mixed(3<<20, 11)
	packed := append(frames(t, content, 7), zstdFrame(27, "large")...)
	packed = append(packed, frames(t, content, 3)...)
	z := newZstdReader(t.Context(), bytes.NewReader(packed))
	defer z.free()
	began := 0
	var got []byte
	for err := z.find(); !errors.Is(err, io.EOF); err = z.find() {
		if err = errors.Join(err, z.begin()); err != nil {
			t.Fatal(err)
		}
		began++
		for p := make([]byte, 10_000); z.within; {
			n, err := z.decompress(p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p[:n]...)
		}
	}
	if want := string(content) + "large" + string(content); string(got) != want {
		t.Fatalf("%d bytes of %d", len(got), len(want))
	}
	if began != 11 {
		t.Errorf("%d frames began", began)
	}
}

// Only one decoder at a time has the largest window. Who waits for it may leave.
func TestLargeWindowsAreBounded(t *testing.T) {
	read := func(ctx context.Context, bits byte) (*zstdReader, error) {
		z := newZstdReader(ctx, bytes.NewReader(zstdFrame(bits, "content")))
		n, err := io.ReadFull(z, make([]byte, 7))
		if err == nil && n != 7 {
			t.Errorf("%d bytes", n)
		}
		return z, err
	}
	first, err := read(t.Context(), 27)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var readingFailed readError
	if _, err := read(gone, 24); !errors.Is(err, context.Canceled) || !errors.As(err, &readingFailed) {
		t.Errorf("beside the largest window, one of 16 MiB: %v", err)
	}
	small, err := read(gone, 23)
	if err != nil {
		t.Errorf("beside the largest window, one of 8 MiB: %v", err)
	}
	small.free()
	for range 3 {
		large := first.decoder
		first.free()
		first.free() // does nothing
		if small, err = read(t.Context(), 23); err != nil || small.decoder == large {
			t.Errorf("a decoder that had a large window was kept, or %v", err)
		}
		small.free()
		if first, err = read(t.Context(), 27); err != nil {
			t.Fatal(err)
		}
	}
	first.free()
	if _, err := read(t.Context(), 28); err == nil || errors.As(err, &readingFailed) {
		t.Errorf("a window of 256 MiB: %v", err)
	}
	if !largeWindows.TryAcquire(maxZstdWindow) {
		t.Fatal("not all windows were given back")
	}
	largeWindows.Release(maxZstdWindow)
}

// A layer that has several large windows is read with one of them at a time.
func TestLayerOfLargeWindows(t *testing.T) {
	tarball := pack(t, file{name: "a", content: strings.Repeat("content ", 10_000)})
	var packed []byte
	for len(tarball) > 0 {
		n := min(len(tarball), 30_000)
		packed, tarball = append(packed, zstdFrame(25+byte(len(packed)>>15), string(tarball[:n]))...), tarball[n:]
	}
	mustShow(t, applied(t, How{Raw: true}, openLayer(t, source(packed))), "a="+strings.Repeat("content ", 10_000)[:1<<16])
	if !largeWindows.TryAcquire(maxZstdWindow) {
		t.Fatal("not all windows were given back")
	}
	largeWindows.Release(maxZstdWindow)
}

// What is unpacked as a whole may be closed while it is read, and twice.
func TestUnpackingIsClosedTwice(t *testing.T) {
	s := source(frames(t, pack(t, file{name: "a", content: string(mixed(2<<20, 12))}), 1))
	in, err := s.unpack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, in) // as far as it comes
	}()
	for range 3 {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	<-ended
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("after it was closed: %v", err)
	}
	a, b := newZstdReader(t.Context(), nil), newZstdReader(t.Context(), nil)
	if err := errors.Join(a.provide(1), b.provide(1)); err != nil || a.decoder == b.decoder {
		t.Errorf("two have one decoder, %v", err)
	}
	a.free()
	b.free()
}

// FuzzZstdFrames reads frame by frame what a decoder reads as a whole.
func FuzzZstdFrames(f *testing.F) {
	f.Add(frames(f, mixed(1<<10, 13), 3))
	f.Add(append(zstdFrame(20, "content"), zstdFrame(10, "")...))
	f.Add([]byte("\x5a\x2a\x4d\x18\xff\xff\xff\xff"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x24\x05\x29\x00\x00hello\x00\x00\x00\x00")) // a wrong checksum
	f.Add([]byte("\x28\xb5\x2f\xfd\x20\x40\x03\x02\x00x"))                     // one byte, repeated
	f.Add([]byte("\x28\xb5\x2f\xfd\xe7\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00"))
	whole, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 20
		for frames := newFrameReader(bytes.NewReader(data)); frames.next() == nil; {
			if frames.window > smallWindow {
				return // it is right, and takes too long
			}
			if _, err := io.Copy(io.Discard, frames); err != nil {
				break
			}
		}
		z := newZstdReader(t.Context(), bytes.NewReader(data))
		defer z.free()
		got, err := io.ReadAll(io.LimitReader(z, most))
		if whole.Reset(bytes.NewReader(data)) != nil {
			return
		}
		want, wholeErr := io.ReadAll(io.LimitReader(whole, most))
		if err == nil && wholeErr == nil && !bytes.Equal(got, want) {
			t.Errorf("frame by frame %d bytes, as a whole %d", len(got), len(want))
		}
		if wholeErr == nil && err != nil && len(data) > 0 {
			t.Errorf("frame by frame: %v", err)
		}
	})
}
