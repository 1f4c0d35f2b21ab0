package archive

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/orasfs/orasfs/fs/archive/deflate"
)

func inflateWindow(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	var d deflate.Decoder
	d.Begin(deflate.NewInputBytes(append(packed[:len(packed):len(packed)], make([]byte, deflate.Padding)...)))
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
