package resolver

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// ownHeaders are those that say how a request is sent, or what of an answer is
// wanted: another value would break it.
var ownHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Connection",
	"Range", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// ParseHeader reads headers as NAME: VALUE. The errors don't hold them, for a value
// may be a secret.
func ParseHeader(lines []string) (http.Header, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	header := make(http.Header, len(lines))
	for i, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name = textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t"))
		value = strings.Trim(value, " \t")
		switch {
		case !ok:
			return nil, fmt.Errorf("header %d has no colon: NAME: VALUE", i+1)
		case !isToken(name):
			return nil, fmt.Errorf("the name of header %d isn't one (RFC 9110, section 5.1)", i+1)
		case slices.Contains(ownHeaders, name):
			return nil, fmt.Errorf("header %s can't be given", name)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return nil, fmt.Errorf("the value of header %s holds a control character", name)
		}
		header[name] = append(header[name], value)
	}
	if len(header["Authorization"]) > 1 {
		return nil, errors.New("header Authorization is given twice")
	}
	return header, nil
}

// withHeader is a request to the registry with the headers that the user has for
// it. They are added to the request's own, but for those of which a request has one.
func (t *hosts) withHeader(req *http.Request) *http.Request {
	if len(t.options.Header) == 0 {
		return req
	}
	given := req
	req = given.WithContext(given.Context())
	req.Header = given.Header.Clone()
	for name, values := range t.options.Header {
		if name == "Authorization" || name == "User-Agent" {
			req.Header.Del(name)
		}
		req.Header[name] = append(req.Header[name], values...)
	}
	return req
}
