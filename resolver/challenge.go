package resolver

import (
	"net/http"
	"strings"
)

// A challenge is one of those with which a server answers 401 (RFC 9110, section
// 11.6.1): what it says, up to the next.
type challenge struct {
	scheme string   // in lower case
	text   []string // the scheme with what follows it, and each further parameter
}

// chooseChallenge leaves the first challenge of an answer that can be met, Bearer's
// or Basic's: oras-go looks at the first one alone, and a server may offer Negotiate
// or Digest before it, in the same header or in one of its own. Where none can be
// met nothing is changed.
func chooseChallenge(resp *http.Response) {
	if resp.StatusCode != http.StatusUnauthorized {
		return
	}
	for _, header := range resp.Header.Values("Www-Authenticate") {
		for _, c := range parseChallenges(header) {
			if c.met() {
				resp.Header.Set("Www-Authenticate", strings.Join(c.text, ","))
				return
			}
		}
	}
}

// met tells whether a client like this one can meet the challenge. Without a realm
// nobody says where a token is.
func (c challenge) met() bool {
	if c.scheme != "bearer" {
		return c.scheme == "basic"
	}
	for i, text := range c.text {
		if i == 0 {
			text = text[len(c.scheme):]
		}
		name, _, _ := strings.Cut(text, "=")
		if strings.EqualFold(strings.TrimSpace(name), "realm") {
			return true
		}
	}
	return false
}

// parseChallenges reads a header that may hold several. Both they and the parameters
// of one are separated by commas: what has no "=" behind its first word is a scheme.
func parseChallenges(header string) []challenge {
	var all []challenge
	for _, element := range splitList(header) {
		word, rest := cutToken(element)
		if parameter := strings.HasPrefix(strings.TrimLeft(rest, " \t"), "="); parameter && len(all) > 0 {
			last := &all[len(all)-1]
			last.text = append(last.text, element)
		} else if word != "" && !parameter {
			all = append(all, challenge{strings.ToLower(word), []string{element}})
		}
	}
	return all
}

// splitList splits the value of a header at commas, those in quoted strings left out
// (RFC 9110, section 5.6.1). No element is empty.
func splitList(value string) []string {
	var list []string
	quoted, begin := false, 0
	add := func(end int) {
		if element := strings.Trim(value[begin:end], " \t"); element != "" {
			list = append(list, element)
		}
		begin = end + 1
	}
	for i := 0; i < len(value); i++ {
		switch {
		case quoted && value[i] == '\\':
			i++
		case value[i] == '"':
			quoted = !quoted
		case value[i] == ',' && !quoted:
			add(i)
		}
	}
	add(len(value))
	return list
}

// cutToken cuts a token off (RFC 9110, section 5.6.2); "" is that none is there.
func cutToken(s string) (token, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// isToken tells whether s is one, as a header's name has to be (section 5.1).
func isToken(s string) bool {
	token, rest := cutToken(s)
	return token != "" && rest == ""
}
