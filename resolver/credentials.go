package resolver

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// A credentialSource finds the credential of a host as ORAS does: what the
// user gave, else the configuration file or the helper it names.
type credentialSource struct {
	explicit auth.CredentialFunc // nil when the user gave none
	files    []string            // none is the default place
	log      *slog.Logger
	tellOnce sync.Once // that the default file may not be read

	// turn is held while the file is read and its helper runs. A helper whose
	// child keeps its output open can't be ended, and then its turn isn't
	// either: one such goroutine is all a registry can leave behind.
	turn chan struct{}
}

// newCredentialSource reads the files once, so that a broken one is told early.
func newCredentialSource(host string, o Options) (*credentialSource, error) {
	s := &credentialSource{files: o.RegistryConfigs, log: o.Log, turn: make(chan struct{}, 1)}
	if o.Header.Get("Authorization") != "" {
		s.explicit = auth.StaticCredential(host, auth.EmptyCredential)
		return s, nil
	}
	if o.Username != "" || o.Password != "" {
		credential := auth.Credential{Username: o.Username, Password: o.Password}
		if o.Username == "" {
			credential = auth.Credential{RefreshToken: o.Password} // an identity token, as in oras
		}
		s.explicit = auth.StaticCredential(host, credential)
		return s, nil
	}
	for _, file := range o.RegistryConfigs {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("read registry config: %w", err)
		}
	}
	if _, err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open reads the configuration files, of which the first that has a credential
// counts. Where there is no default place (no HOME) nothing is configured, and so it
// is where the file in the default place is somebody else's: nobody has named it.
func (s *credentialSource) open() (credentials.Store, error) {
	options := credentials.StoreOptions{DetectDefaultNativeStore: true}
	if len(s.files) > 0 {
		stores := make([]credentials.Store, len(s.files))
		for i, file := range s.files {
			store, err := credentials.NewStore(file, options)
			if err != nil {
				return nil, fmt.Errorf("read registry config %s: %w", file, err)
			}
			stores[i] = store
		}
		return credentials.NewStoreWithFallbacks(stores[0], stores[1:]...), nil
	}
	named := os.Getenv("DOCKER_CONFIG") != ""
	if _, err := os.UserHomeDir(); err != nil && !named {
		return credentials.NewMemoryStore(), nil
	}
	store, err := credentials.NewStoreFromDocker(options)
	switch {
	case errors.Is(err, iofs.ErrPermission) && !named:
		s.tellOnce.Do(func() { s.log.Warn("no login is used: the credentials file may not be read", "error", err) })
		return credentials.NewMemoryStore(), nil
	case err != nil:
		return nil, fmt.Errorf("read registry config: %w", err)
	}
	return store, nil
}

// credential implements auth.CredentialFunc. The file is read anew each time:
// a mount outlives a login, and what rotates in the file is found there.
func (s *credentialSource) credential(ctx context.Context, hostport string) (auth.Credential, error) {
	if s.explicit != nil {
		return s.explicit(ctx, hostport)
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return auth.EmptyCredential, ctx.Err()
	}
	type answer struct {
		credential auth.Credential
		err        error
	}
	answered := make(chan answer, 1)
	go func() {
		defer func() { <-s.turn }()
		store, err := s.open()
		if err != nil {
			answered <- answer{err: err}
			return
		}
		credential, err := credentials.Credential(store)(ctx, hostport)
		answered <- answer{credential, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return auth.EmptyCredential, fmt.Errorf("credential for %s: %w", hostport, a.err)
		}
		return a.credential, nil
	case <-ctx.Done():
		return auth.EmptyCredential, ctx.Err()
	}
}

// identityLasts is for how long a credential is taken to be the same: a helper
// may have to run to find out.
const identityLasts = 10 * time.Second

// An identity is whose credential was found last.
type identity struct {
	mu    sync.Mutex // guards everything below
	id    string
	until time.Time // zero until one was found
}

// authorized tells whether the user has given what is sent as Authorization.
func (r *Registry) authorized() bool { return r.hosts.options.Header.Get("Authorization") != "" }

// Credential tells apart the credentials that this registry is asked with: ""
// is none, and another string another credential. The string is a secret. It is
// for who remembers what the registry said to whom, by a keyed hash of it. Any
// header of the user's may be a credential. Where it can't be found any more (a
// helper may need the network) it is the one that was found last.
func (r *Registry) Credential(ctx context.Context) (id string, err error) {
	r.identity.mu.Lock()
	id, until := r.identity.id, r.identity.until
	r.identity.mu.Unlock()
	if time.Now().Before(until) {
		return id, nil
	}
	ctx, cancel := withBound(ctx, r.bound())
	defer cancel()
	c, err := r.credentials.credential(ctx, r.origin.Host)
	switch {
	case err != nil && !until.IsZero():
		r.log.Debug("the credential can't be found any more, the last one counts", "registry", r.host, "error", redact(err))
		r.identity.found(id)
		return id, nil
	case err != nil:
		return "", fmt.Errorf("which credential is used for %s: %w", r.host, timedOut(ctx, err))
	}
	id = ""
	if c != auth.EmptyCredential {
		id = strings.Join([]string{c.Username, c.Password, c.RefreshToken, c.AccessToken}, "\x00")
	}
	header := r.hosts.options.Header
	for _, name := range slices.Sorted(maps.Keys(header)) {
		id += "\x00" + name + "\x00" + strings.Join(header[name], "\x00")
	}
	r.identity.found(id)
	return id, nil
}

// forget has the credential looked for again.
func (i *identity) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.until.IsZero() {
		i.until = time.Now()
	}
}

func (i *identity) found(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.id, i.until = id, time.Now().Add(identityLasts)
}

// Asking tells apart as whom and in what way this registry is asked: it is Credential,
// and how it is reached where less than TLS and its name say that it is the one. Who
// remembers what it said remembers it for the same way alone: what came in plain HTTP,
// from whoever was there, is nothing that the registry of that name has said.
func (r *Registry) Asking(ctx context.Context) (id string, err error) {
	id, err = r.Credential(ctx)
	if err != nil {
		return "", err
	}
	o := &r.hosts.options
	if ways := r.mirrors.list(); len(ways) > 1 || !ways[0].own {
		id += "\x00by way of " + strings.Join(addresses(ways), " ")
	}
	if r.plain() && !IsLoopback(r.host) {
		id += "\x00plain HTTP"
	}
	if o.Insecure {
		id += "\x00any certificate"
	}
	if address, given := o.resolved(hostport(r.origin)); given {
		id += "\x00at " + address
	}
	return id, nil
}
