package fakeregistry

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// A Request is what the server saw of one request and answered.
type Request struct {
	Method string
	Host   string
	Path   string
	Query  url.Values
	Header http.Header // of the request: Range, Authorization, User-Agent, …

	Status int   // 0 while none was sent
	Bytes  int64 // of the body that were written so far
}

// A requestLog remembers requests in the order they came in.
type requestLog struct {
	logMu    sync.Mutex // guards requests and what they point to, and the counts
	requests []*Request
	atOnce   int // under way
	most     int // of those
}

func (l *requestLog) begin(req *http.Request) *Request {
	entry := &Request{
		Method: req.Method,
		Host:   req.Host,
		Path:   req.URL.Path,
		Query:  req.URL.Query(),
		Header: req.Header.Clone(),
	}
	l.logMu.Lock()
	defer l.logMu.Unlock()
	l.requests = append(l.requests, entry)
	l.atOnce++
	l.most = max(l.most, l.atOnce)
	return entry
}

func (l *requestLog) end(entry *Request, r *recorder) {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	entry.Status = r.status
	l.atOnce--
}

// Requests returns all requests since the beginning or the last Reset. Those
// that are under way have no Status yet.
func (l *requestLog) Requests() []Request {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	all := make([]Request, len(l.requests))
	for i, r := range l.requests {
		all[i] = *r
	}
	return all
}

// Matching returns the requests with that method whose path contains path. An
// empty method or path is any.
func (l *requestLog) Matching(method, path string) []Request {
	return slices.DeleteFunc(l.Requests(), func(r Request) bool {
		return !matches(method, path, r.Method, r.Path)
	})
}

// Count is the number of requests that Matching returns.
func (l *requestLog) Count(method, path string) int {
	return len(l.Matching(method, path))
}

// MostAtOnce is how many requests were under way at the same time, at most.
func (l *requestLog) MostAtOnce() int {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	return l.most
}

// Reset forgets all requests.
func (l *requestLog) Reset() {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	l.requests, l.most = nil, l.atOnce
}

func matches(method, path, gotMethod, gotPath string) bool {
	return (method == "" || method == gotMethod) && strings.Contains(gotPath, path)
}

// sent counts bytes of an answer; n is negative for those that weren't sent after
// all.
func (l *requestLog) sent(entry *Request, n int) {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	entry.Bytes += int64(n)
}

// A recorder notes the status and counts the bytes of an answer.
type recorder struct {
	http.ResponseWriter
	log    *requestLog
	entry  *Request
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write counts first: whoever has the bytes finds them counted.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.log.sent(r.entry, len(p))
	n, err := r.ResponseWriter.Write(p)
	r.log.sent(r.entry, n-len(p))
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
