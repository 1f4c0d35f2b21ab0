package resolver

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// DefaultHostsDir is where containerd has Options.HostsDir. What of it may not be
// read isn't there: nobody has named it.
const DefaultHostsDir = "/etc/containerd/certs.d"

// hostsFileName is the file in a registry's folder that says who is asked.
const hostsFileName = "hosts.toml"

// A hostsDir is where on the disk it is said how one registry is reached: its folder
// in Options.HostsDir, and the files that are named there or by Options.
type hostsDir struct {
	root string // "" is none
	host string // HOST[:PORT]
	more []string
	log  *slog.Logger

	every time.Duration // how often it is looked, at most

	tellOnce sync.Once // that a file may not be read

	files []string  // what the last reading depended on
	seen  string    // their stamp then
	next  time.Time // when they are looked at again
}

// hostsEvery is how often it is looked whether a file has changed, while somebody
// asks the registry.
const hostsEvery = 2 * time.Second

// changed tells whether something has changed since it was read. It looks at most
// once in every.
func (d *hostsDir) changed() bool {
	if len(d.files) == 0 || time.Now().Before(d.next) {
		return false
	}
	d.next = time.Now().Add(d.every)
	return stamp(d.files) != d.seen
}

// load reads all of it, again if a file changed meanwhile.
func (d *hostsDir) load() (all []endpoint, err error) {
	for range 3 {
		before := stamp(d.files)
		all, d.files, err = d.read()
		if d.seen = stamp(d.files); d.seen == before {
			break
		}
	}
	d.next = time.Now().Add(d.every)
	return all, err
}

// folders are those that may be the registry's, of which the first that is there is.
func (d *hostsDir) folders() []string {
	names := []string{d.host, "_default"}
	if i := strings.LastIndex(d.host, ":"); i > 0 && !strings.HasSuffix(d.host, "]") {
		names = append([]string{d.host[:i] + "_" + d.host[i+1:] + "_"}, names...)
	}
	for i := range names {
		names[i] = filepath.Join(d.root, names[i])
	}
	return names
}

// read is what is said there: the hosts in the order in which they are asked, nil
// where nothing is said. An error names the file, and the line where there is one.
// What any of this depends on is in files, also with an error.
func (d *hostsDir) read() (all []endpoint, files []string, err error) {
	files = append(files, d.more...)
	if d.root == "" {
		return nil, files, nil
	}
	for _, folder := range d.folders() {
		files = append(files, folder)
		info, err := os.Stat(folder)
		switch {
		case errors.Is(err, iofs.ErrNotExist):
			continue
		case err == nil && !info.IsDir():
			err = fmt.Errorf("%s isn't a folder", folder)
		case err == nil:
			files = append(files, filepath.Join(folder, hostsFileName))
			all, err = readFolder(folder)
		}
		if errors.Is(err, iofs.ErrPermission) && d.root == DefaultHostsDir {
			d.tellOnce.Do(func() { d.log.Warn("no mirror is used: what names them may not be read", "error", err) })
			return nil, files, nil
		}
		for _, e := range all {
			files = append(files, e.ca...)
			for _, pair := range e.client {
				files = append(files, pair[:]...)
			}
		}
		return all, files, err
	}
	return nil, files, nil
}

// readFolder reads one registry's folder: its hosts.toml, or where there is none the
// certificates in it, which are for the registry itself.
func readFolder(folder string) ([]endpoint, error) {
	file := filepath.Join(folder, hostsFileName)
	content, err := readRegular(file)
	switch {
	case err != nil && !errors.Is(err, iofs.ErrNotExist):
		return nil, err
	case len(content) == 0:
		return readCertificates(folder)
	}
	all, err := parseHosts(content, folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// readRegular reads a file of at most maxHostsFile bytes, and waits for nobody.
func readRegular(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s isn't a file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(f, maxHostsFile+1))
}

// readCertificates is what Docker has in such a folder: NAME.crt are authorities,
// NAME.cert with NAME.key certificates.
func readCertificates(folder string) ([]endpoint, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	own := endpoint{base: defaultBase, can: canAll}
	for _, entry := range entries {
		file := filepath.Join(folder, entry.Name())
		switch filepath.Ext(file) {
		case ".crt":
			own.ca = append(own.ca, file)
		case ".cert":
			key := strings.TrimSuffix(file, ".cert") + ".key"
			if _, err := os.Stat(key); err != nil {
				key = "" // the certificate's file may hold it
			}
			own.client = append(own.client, [2]string{file, key})
		}
	}
	return []endpoint{own}, nil
}

// stamp tells apart states of files: it is the same as long as none has changed, come
// or gone.
func stamp(files []string) string {
	var b strings.Builder
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(&b, "%s: none\n", file)
			continue
		}
		fmt.Fprintf(&b, "%s: %d %s %s\n", file, info.Size(), info.ModTime().Format(time.RFC3339Nano), info.Mode())
	}
	return b.String()
}
