package archive

import (
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/orasfs/orasfs/fs/archive/deflate"
)

func inflateWindow(packed string) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	var d deflate.Decoder
	padded := make([]byte, len(packed)+deflate.Padding)
	copy(padded, packed)
	d.Begin(deflate.NewInputBytes(padded))
	window := make([]byte, deflate.Window+deflate.Spare)
	for n := 0; n < deflate.Window; {
		var err error
		if n, err = d.Inflate(window, n); errors.Is(err, io.EOF) {
			return window[:n], nil
		} else if err != nil {
			return nil, damaged("window: %v", err)
		}
	}
	return window[:deflate.Window], nil
}

// windowPackers are kept for reuse: to make one takes longer than to pack a window.
var windowPackers = sync.Pool{}

// deflateWindow packs a window as a span has it.
func deflateWindow(window []byte) (string, error) {
	if len(window) == 0 {
		return "", nil
	}
	var packed strings.Builder
	w, ok := windowPackers.Get().(*flate.Writer)
	if ok {
		w.Reset(&packed)
	} else {
		var err error
		if w, err = flate.NewWriter(&packed, flate.BestSpeed); err != nil {
			return "", err
		}
	}
	defer windowPackers.Put(w)
	if _, err := w.Write(window); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return packed.String(), nil
}
