package fakeregistry

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// A Fault is something wrong with the answers to some requests. Its zero
// fields change nothing; several can be set at once.
type Fault struct {
	Method string                   // of the requests it meets; "" is any
	Path   string                   // what the path of those contains: "/blobs/", a digest, "_catalog"
	If     func(*http.Request) bool // a further condition; nil is none
	Times  int                      // how many requests it meets; 0 is all until it is removed

	Status      int               // answers with this status and Body instead of what was asked for
	Body        []byte            // of the answer; alone it replaces the content and leaves the headers
	Header      map[string]string // headers set on the answer; "" removes one
	Code        int               // answers with this status, and what was asked for
	IgnoreRange bool              // answers 200 with everything
	Gzip        bool              // compresses the body, whatever was asked for
	Range       string            // answers this range, as a request has it, instead of the one that was asked for
	Reset       bool              // resets the connection before any answer
	Close       bool              // closes it before any answer

	Delay  time.Duration   // waits before the answer
	Stall  bool            // sends no header, until Until or until the client is gone
	Cut    bool            // the body breaks off after CutAt bytes, the connection with it
	Hang   bool            // the body stops after CutAt bytes, until Until or until the client is gone
	CutAt  int64           // counted in the body, not in the blob
	InBlob bool            // CutAt is counted in the blob: what comes later of it isn't sent, whatever was asked for
	Until  <-chan struct{} // ends Stall and Hang when it is closed; the answer goes on as if nothing had been
	Drip   time.Duration   // a pause before each byte of the body

	Flip   bool  // inverts the byte at FlipAt
	FlipAt int64 // counted in the blob, not in the body
}

// faults are those in force.
type faults struct {
	faultMu sync.Mutex // guards all and their left
	all     []*activeFault
}

type activeFault struct {
	Fault
	left int // requests it still meets; negative is no bound
}

// Inject puts a fault in force for the requests that come in from now on. Of
// several that meet a request the one injected first is taken.
func (f *faults) Inject(fault Fault) (remove func()) {
	active := &activeFault{fault, fault.Times}
	if fault.Times == 0 {
		active.left = -1
	}
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	f.all = append(f.all, active)
	return func() {
		f.faultMu.Lock()
		defer f.faultMu.Unlock()
		f.all = slices.DeleteFunc(f.all, func(a *activeFault) bool { return a == active })
	}
}

// take returns the fault that meets this request, counting it, or the zero one.
func (f *faults) take(req *http.Request) Fault {
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	for _, a := range f.all {
		if a.left != 0 && matches(a.Method, a.Path, req.Method, req.URL.Path) && (a.If == nil || a.If(req)) {
			a.left--
			return a.Fault
		}
	}
	return Fault{}
}

// disturb lets next answer, with the fault that meets the request.
func (f *faults) disturb(w http.ResponseWriter, req *http.Request, next http.HandlerFunc) {
	fault := f.take(req)
	if fault.Reset || fault.Close {
		hangUp(w, fault.Reset)
		return
	}
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-req.Context().Done():
			return
		}
	}
	if fault.Stall && !fault.wait(req) {
		return
	}
	if fault.Range != "" && req.Header.Get("Range") != "" {
		req.Header.Set("Range", fault.Range)
	}
	if fault.IgnoreRange {
		req.Header.Del("Range")
	}
	writer := &faultWriter{ResponseWriter: w, fault: fault, req: req}
	if fault.Status != 0 {
		for key, value := range fault.Header {
			writer.Header().Set(key, value)
		}
		writer.WriteHeader(fault.Status)
		if req.Method != http.MethodHead {
			_, _ = writer.Write(fault.Body)
		}
		return
	}
	if fault.Gzip {
		compress(writer, req, next)
		return
	}
	next(writer, req)
}

// compress sends what next answers compressed, with the length that it has then.
func compress(w http.ResponseWriter, req *http.Request, next http.HandlerFunc) {
	plain := httptest.NewRecorder()
	next(plain, req)
	var body bytes.Buffer
	compressor := gzip.NewWriter(&body)
	_, _ = plain.Body.WriteTo(compressor)
	_ = compressor.Close()
	maps.Copy(w.Header(), plain.Header())
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Length", fmt.Sprint(body.Len()))
	w.WriteHeader(plain.Code)
	if req.Method != http.MethodHead {
		_, _ = body.WriteTo(w)
	}
}

// wait tells whether to go on.
func (f *Fault) wait(req *http.Request) bool {
	select {
	case <-f.Until:
		return true
	case <-req.Context().Done():
		return false
	}
}

// hangUp ends the connection, with a TCP reset or without.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// A faultWriter spoils an answer on its way out.
type faultWriter struct {
	http.ResponseWriter
	fault   Fault
	req     *http.Request
	started bool
	base    int64 // offset in the blob of the body's first byte
	sent    int64 // bytes of the body
}

func (w *faultWriter) WriteHeader(status int) {
	w.started = true
	h := w.Header()
	_, _ = fmt.Sscanf(h.Get("Content-Range"), "bytes %d-", &w.base)
	if w.fault.Body != nil {
		h.Set("Content-Length", fmt.Sprint(len(w.fault.Body)))
	}
	for key, value := range w.fault.Header {
		if value == "" {
			h.Del(key)
		} else {
			h.Set(key, value)
		}
	}
	if w.fault.Code != 0 {
		status = w.fault.Code
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *faultWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.WriteHeader(http.StatusOK)
	}
	if w.fault.Body == nil || w.fault.Status != 0 {
		return len(p), w.write(p)
	}
	// The body that replaces this one goes out with its first part.
	if w.sent == 0 {
		return len(p), w.write(w.fault.Body)
	}
	return len(p), nil
}

func (w *faultWriter) write(p []byte) error {
	if at := w.fault.FlipAt - w.base - w.sent; w.fault.Flip && at >= 0 && at < int64(len(p)) {
		p = slices.Clone(p)
		p[at] ^= 0xff
	}
	left := w.fault.CutAt - w.sent
	if w.fault.InBlob {
		left = max(0, left-w.base)
	}
	if (w.fault.Cut || w.fault.Hang) && int64(len(p)) > left && left >= 0 {
		if err := w.send(p[:left]); err != nil {
			return err
		}
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		if w.fault.Cut || !w.fault.wait(w.req) {
			panic(http.ErrAbortHandler)
		}
		w.fault.Hang = false
		p = p[left:]
	}
	return w.send(p)
}

func (w *faultWriter) send(p []byte) error {
	if w.fault.Drip == 0 {
		n, err := w.ResponseWriter.Write(p)
		w.sent += int64(n)
		return err
	}
	for i := range p {
		select {
		case <-time.After(w.fault.Drip):
		case <-w.req.Context().Done():
			return io.ErrClosedPipe
		}
		if _, err := w.ResponseWriter.Write(p[i : i+1]); err != nil {
			return err
		}
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		w.sent++
	}
	return nil
}
