package archive

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// maxWindow is deflate's (RFC 1951, 2), in bytes.
const maxWindow = 32 << 10

func inflateWindow(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	window, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxWindow))
	if err != nil {
		return nil, damaged("window: %v", err)
	}
	return window, nil
}

// windowPackers are kept for reuse: to make one takes longer than to pack a window.
var windowPackers = sync.Pool{}

// deflateWindow packs a window as a span has it.
func deflateWindow(window []byte) ([]byte, error) {
	if len(window) == 0 {
		return nil, nil
	}
	var packed bytes.Buffer
	w, ok := windowPackers.Get().(*flate.Writer)
	if ok {
		w.Reset(&packed)
	} else {
		var err error
		if w, err = flate.NewWriter(&packed, flate.BestSpeed); err != nil {
			return nil, err
		}
	}
	defer windowPackers.Put(w)
	if _, err := w.Write(window); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
