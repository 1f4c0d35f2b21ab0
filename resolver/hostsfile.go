package resolver

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// maxHostsFile bounds a hosts.toml, in bytes, and maxEndpoints the hosts in it.
const (
	maxHostsFile = 1 << 20
	maxEndpoints = 64
)

// An endpoint is a host that is asked on a registry's behalf, and how.
type endpoint struct {
	// origin has its scheme, host and port; nil is the registry's own.
	origin *url.URL
	// base is the path that /v2 of the distribution API is at: /v2 but where the file
	// says otherwise.
	base string
	// can is what it is asked for.
	can capabilities

	// ca are files of authorities, and client those of certificates with their keys;
	// where a key is "" the certificate's file holds it.
	ca     []string
	client [][2]string
	// skipVerify is whether any certificate will do; nil is what the user says.
	skipVerify *bool

	header      http.Header
	dialTimeout time.Duration // of a connection; 0 is that of any attempt

	// ns is the registry's name, which a host that isn't the registry is told, and
	// mirrorOf the same for whom its errors are about; "" is the registry itself.
	ns, mirrorOf string
	// passed is that it is passed over where it fails, and has its share of the time.
	passed bool
}

// capabilities are what a host is asked for. That a host may be pushed to says
// nothing here.
type capabilities uint8

const (
	canPull      capabilities = 1 << iota // manifests by digest, blobs
	canResolve                            // tags
	canPush                               // nothing of ours
	canReferrers                          // what refers to a manifest

	canAll = canPull | canResolve | canPush | canReferrers
)

// all tells whether these are among them.
func (c capabilities) all(need capabilities) bool { return c&need == need }

// defaultBase is where a registry's API is (distribution specification, "Endpoints").
const defaultBase = "/v2"

// A hostTable is what hosts.toml says of one host.
type hostTable struct {
	Capabilities capabilities `toml:"capabilities"`
	CA           fileList     `toml:"ca"`
	Client       pairList     `toml:"client"`
	SkipVerify   *bool        `toml:"skip_verify"`
	Header       headerTable  `toml:"header"`
	OverridePath bool         `toml:"override_path"`
	DialTimeout  dialTimeout  `toml:"dial_timeout"`
}

// parseHosts reads a hosts.toml, in which paths are relative to dir: the hosts that
// are asked for a registry, in this order. The last one is the server, which is the
// registry itself (no origin) where the file names none. What the file says besides
// is left out. An error names the line.
func parseHosts(content []byte, dir string) ([]endpoint, error) {
	var file struct {
		hostTable
		Server string               `toml:"server"`
		Hosts  map[string]hostTable `toml:"host"`
	}
	if len(content) > maxHostsFile {
		return nil, fmt.Errorf("more than %d bytes", maxHostsFile)
	}
	meta, err := toml.Decode(string(content), &file)
	if err != nil {
		return nil, err
	}
	var all []endpoint
	seen := make(map[string]bool)
	for _, key := range meta.Keys() { // in the file's order
		if len(key) < 2 || key[0] != "host" || seen[key[1]] {
			continue
		}
		seen[key[1]] = true
		e, err := file.Hosts[key[1]].endpoint(key[1], dir)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", lineOf(content, key[1]), err)
		}
		all = append(all, e)
	}
	if len(all) > maxEndpoints {
		return nil, fmt.Errorf("more than %d hosts", maxEndpoints)
	}
	server, err := file.endpoint(file.Server, dir)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", lineOf(content, file.Server), err)
	}
	return append(all, server), nil
}

// lineOf is the line on which a text is first, from 1 on.
func lineOf(content []byte, text string) int {
	before := content[:max(0, bytes.Index(content, []byte(text)))]
	return bytes.Count(before, []byte("\n")) + 1
}

// endpoint is that at an address: a URL, or HOST[:PORT] for one of https. "" is the
// registry's own.
func (t hostTable) endpoint(address, dir string) (endpoint, error) {
	e := endpoint{
		base: defaultBase, can: t.Capabilities, skipVerify: t.SkipVerify,
		header: http.Header(t.Header), dialTimeout: time.Duration(t.DialTimeout),
	}
	if e.can == 0 {
		e.can = canAll
	}
	within := func(file string) string {
		if file == "" || filepath.IsAbs(file) {
			return file
		}
		return filepath.Join(dir, file)
	}
	for _, file := range t.CA {
		e.ca = append(e.ca, within(file))
	}
	for _, pair := range t.Client {
		e.client = append(e.client, [2]string{within(pair[0]), within(pair[1])})
	}
	if address == "" {
		return e, nil
	}
	if !strings.HasPrefix(address, "http") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return e, errors.New("the host isn't a URL") // which may hold a password
	case u.Scheme != "http" && u.Scheme != "https":
		return e, fmt.Errorf("host %q is neither http nor https", withoutQuery(u))
	case !isHostname(u.Hostname()) || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return e, fmt.Errorf("host %q isn't http://HOST[:PORT][/PATH] or https://", withoutQuery(u))
	}
	e.origin, e.base = &url.URL{Scheme: u.Scheme, Host: u.Host}, basePath(u.Path, t.OverridePath)
	return e, nil
}

// basePath is where the API is below an address: at its path as it is where that is
// so said, else at /v2 below it, where it doesn't end in that.
func basePath(given string, override bool) string {
	given = strings.TrimSuffix(path.Clean("/"+given), "/")
	if override || strings.HasSuffix(given, defaultBase) {
		return given
	}
	return given + defaultBase
}

func isHostname(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil || hostPattern.MatchString(name) && len(name) <= 253
}

// UnmarshalTOML implements toml.Unmarshaler.
func (c *capabilities) UnmarshalTOML(value any) error {
	words, err := strs(value)
	if err != nil {
		return err
	}
	for _, word := range words {
		switch strings.ToLower(word) {
		case "pull":
			*c |= canPull
		case "resolve":
			*c |= canResolve
		case "push":
			*c |= canPush
		case "referrers":
			*c |= canReferrers
		default:
			return fmt.Errorf("unknown capability %q: pull, resolve, push or referrers is needed", word)
		}
	}
	return nil
}

// A fileList is a file, or several.
type fileList []string

// UnmarshalTOML implements toml.Unmarshaler.
func (l *fileList) UnmarshalTOML(value any) (err error) {
	if file, ok := value.(string); ok {
		value = []any{file}
	}
	*l, err = strs(value)
	return err
}

// A pairList is certificates with their keys: a file that holds both, several of
// those, or pairs of files.
type pairList [][2]string

// UnmarshalTOML implements toml.Unmarshaler.
func (l *pairList) UnmarshalTOML(value any) error {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, element := range list {
		if file, ok := element.(string); ok {
			element = []any{file, ""}
		}
		pair, err := strs(element)
		if err != nil {
			return err
		}
		if len(pair) != 2 {
			return errors.New("a certificate and its key are a pair")
		}
		*l = append(*l, [2]string(pair))
	}
	return nil
}

// A headerTable is headers, each with a value or several.
type headerTable http.Header

// UnmarshalTOML implements toml.Unmarshaler.
func (h *headerTable) UnmarshalTOML(value any) error {
	table, ok := value.(map[string]any)
	if !ok {
		return errors.New("headers are a table")
	}
	var lines []string
	for name, value := range table {
		if single, ok := value.(string); ok {
			value = []any{single}
		}
		values, err := strs(value)
		if err != nil {
			return err
		}
		for _, v := range values {
			lines = append(lines, name+":"+v)
		}
	}
	header, err := ParseHeader(lines)
	*h = headerTable(header)
	return err
}

// A dialTimeout is a duration as Go writes it.
type dialTimeout time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *dialTimeout) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	duration, err := time.ParseDuration(string(text))
	if err == nil && duration < 0 {
		err = errors.New("a duration can't be negative")
	}
	*d = dialTimeout(duration)
	return err
}

// strs is a list of strings. The error doesn't hold them.
func strs(value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("a list of strings is needed, not %T", value)
	}
	found := make([]string, len(list))
	for i, element := range list {
		if found[i], ok = element.(string); !ok {
			return nil, fmt.Errorf("a string is needed, not %T", element)
		}
	}
	return found, nil
}
