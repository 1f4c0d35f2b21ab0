package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Options are how a registry is reached. The zero value is HTTPS, with the
// system's CAs and the credentials of ORAS's and Docker's configuration.
type Options struct {
	// PlainHTTP is whether HTTP is talked, or TLS; nil is HTTP with localhost,
	// 127.0.0.0/8 and [::1], unless CAFile, CertFile or Insecure show that TLS is
	// meant, and TLS with all others.
	PlainHTTP *bool
	Insecure  bool   // accept any TLS certificate
	CAFile    string // PEM file of further CAs
	// CertFile and KeyFile are the PEM files of the certificate that the registry
	// is shown, and nobody else; both or none.
	CertFile, KeyFile string

	// Header goes to the registry with every request, and nowhere else; see
	// ParseHeader. Where it has an Authorization, no credential is looked for.
	Header http.Header
	// Resolve has the addresses of hosts, instead of those that are looked up; see
	// ParseResolve.
	Resolve map[string]string

	// Username and Password win over any configured credential, for this host
	// only. A Password alone is an identity token.
	Username, Password string
	// RegistryConfigs are the credentials files, of which the first that has a
	// credential counts; none is config.json in $DOCKER_CONFIG or ~/.docker, which
	// ORAS shares. The helpers that they name are run.
	RegistryConfigs []string

	// HostsDir is the folder with a folder for each registry that says which hosts are
	// asked for it, and how, as containerd has it; "" is none.
	HostsDir string

	// Timeout is how long an attempt may go on without progress; 0 is 30 s.
	// What a caller waits for ends within twice as long.
	Timeout time.Duration
	// Concurrency is how many requests for blobs run ahead of their readers per
	// host; 0 is 8. Those that a reader waits for may be half as many more.
	Concurrency int
	UserAgent   string       // "" is orasfs
	Log         *slog.Logger // nil discards
	Traffic     *Traffic     // counts what is asked; nil is nobody
}

// A Registry is a client of one registry.
type Registry struct {
	host      string   // as it was given
	origin    *url.URL // scheme, host and port of the API
	timeout   time.Duration
	backoff   time.Duration // before the first retry
	userAgent string
	log       *slog.Logger

	credentials *credentialSource
	tokens      *tokenCache
	hosts       *hosts
	denials     *denials
	identity    identity

	noReferrersAPI atomic.Bool // it refuses it, and the log says so

	documents *metadataClient
	listings  *metadataClient
	heads     *metadataClient // of blobs; follows no redirect
	// manifestHeads is which answers to HEAD of a manifest are doubted.
	manifestHeads *headMemory
	blobs         *auth.Client // follows no redirect
	storage       *http.Client // for where blobs are redirected to; knows no credential, follows no redirect

	mirrors *mirrors                     // who else is asked; nil for one of those
	targets *lru.Cache[string, *url.URL] // where a blob was redirected to, by its address
	refused refusal                      // of the catalog
	met     *met                         // see evidence.go
}

// NewRegistry makes a client of the registry at host, HOST[:PORT]. It reads
// the credentials, the CA files and what Options.HostsDir says of the host, and asks
// nobody. A host that isn't one is errdef.ErrInvalidReference.
func NewRegistry(host string, o Options) (*Registry, error) {
	if err := checkHost(host); err != nil {
		return nil, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
	}
	o.setDefaults()
	api, err := remote.NewRegistry(host)
	if err != nil {
		return nil, err
	}
	own := endpoint{base: defaultBase, can: canAll, origin: &url.URL{Scheme: "https", Host: api.Reference.Host()}}
	if o.plainHTTP(host) {
		own.origin.Scheme = "http"
	}
	r, err := newRegistry(host, own, o)
	if err != nil {
		return nil, err
	}
	r.mirrors, err = newMirrors(r, o)
	return r, err
}

func (o *Options) setDefaults() {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.UserAgent == "" {
		o.UserAgent = "orasfs"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// newRegistry makes a client of one endpoint, known as host.
func newRegistry(host string, e endpoint, o Options) (*Registry, error) {
	credentials, err := newCredentialSource(host, o)
	if err != nil {
		return nil, err
	}
	denials, err := newDenials()
	if err != nil {
		return nil, err
	}
	manifestHeads, err := newHeadMemory()
	if err != nil {
		return nil, err
	}
	targets, err := lru.New[string, *url.URL](maxTargets)
	if err != nil {
		return nil, err
	}
	met, err := newMet()
	if err != nil {
		return nil, err
	}
	r := &Registry{
		host: host, origin: e.origin, timeout: o.Timeout, backoff: min(firstBackoff, o.Timeout/backoffsOf), userAgent: o.UserAgent, log: o.Log,
		credentials: credentials,
		tokens:      newTokenCache(),
		denials:     denials,
		targets:     targets,
		met:         met,

		manifestHeads: manifestHeads,
	}
	return r, r.connect(e, o)
}

// connect makes the clients.
func (r *Registry) connect(e endpoint, o Options) (err error) {
	if r.hosts, err = newHosts(r.host, e, o); err != nil {
		return err
	}
	r.documents = r.newMetadataClient(MaxManifest, MaxManifest) // one is decoded by ParseManifest, which counts
	r.listings = r.newMetadataClient(maxPage, maxElements)

	r.blobs = r.newAuthClient(&http.Client{
		Transport: r.hosts,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if strings.HasPrefix(via[0].URL.Path, apiPath) && sameOrigin(via[0].URL, r.origin) {
				return http.ErrUseLastResponse
			}
			return followRedirect(req, via) // a token service may be elsewhere
		},
	})
	r.heads = &metadataClient{registry: r, limit: maxErrorBytes, values: maxErrorBytes, bound: r.bound(), auth: r.blobs}
	r.storage = &http.Client{
		Transport:     storage{r.hosts},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// plainHTTP tells whether HTTP is talked with a host.
func (o *Options) plainHTTP(host string) bool {
	if o.PlainHTTP != nil {
		return *o.PlainHTTP
	}
	return IsLoopback(host) && !o.MeansTLS()
}

// MeansTLS tells whether there is something among the options that only TLS has a
// use for.
func (o *Options) MeansTLS() bool { return o.CAFile != "" || o.CertFile != "" || o.Insecure }

// Close ends what goes on in the background, and the connections that aren't
// used. It waits for it.
func (r *Registry) Close() error {
	if r.mirrors != nil {
		r.mirrors.close()
	}
	r.hosts.close()
	return nil
}

// IsLoopback tells whether a host is localhost or a loopback address.
func IsLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// Host is HOST[:PORT] as it was given to NewRegistry.
func (r *Registry) Host() string { return r.host }

// bound is the time within which what a caller waits for ends.
func (r *Registry) bound() time.Duration { return 2 * r.timeout }

// plain tells whether the registry talks HTTP.
func (r *Registry) plain() bool { return r.origin.Scheme == "http" }

// apiPath is the base of the distribution API.
const apiPath = "/v2/"

// ErrCredential is that a registry, or its token service, doesn't take the
// credential that is given or configured for it.
var ErrCredential = errors.New("the credential isn't accepted")

// Ping asks whether the registry is there and takes the credentials; where it
// doesn't, the error is ErrCredential, and the registry's answer. One that was asked
// in plain HTTP and talks TLS is ErrTalksTLS. Where no
// credential is configured and tokens are given per repository, as GHCR and
// Harbor do, nobody can tell before a repository is asked for: being refused
// here is no error then.
//
// A registry that gives no answer is as good as there where a mirror is that may
// resolve its tags.
func (r *Registry) Ping(ctx context.Context) error {
	err := r.mirrors.server().greet(ctx)
	if err != nil && r.mirrors.stands(ctx, err) {
		return nil
	}
	return err
}

// greet is Ping of one host.
func (r *Registry) greet(ctx context.Context) error {
	err := r.ping(ctx)
	if hasStatus(err, http.StatusUnauthorized, http.StatusForbidden) {
		credential, credentialErr := r.credentials.credential(ctx, r.origin.Host)
		switch {
		case credentialErr != nil:
		case credential != auth.EmptyCredential || r.authorized():
			err = fmt.Errorf("%w: %w", ErrCredential, err)
		case r.grantsPerRepository(ctx, err):
			return nil
		}
	}
	switch {
	case err == nil:
		return nil
	case r.talksTLS(ctx, err):
		err = fmt.Errorf("%w: %w", ErrTalksTLS, err)
	}
	return fmt.Errorf("reach registry %s: %w", r.host, err)
}

func (r *Registry) ping(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.origin.JoinPath(apiPath).String(), nil)
	if err != nil {
		return err
	}
	resp, err := r.documents.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// grantsPerRepository tells whether a refused Ping was an anonymous one that
// came as far as the registry's token service.
func (r *Registry) grantsPerRepository(ctx context.Context, err error) bool {
	var refused *errcode.ErrorResponse
	if errors.As(err, &refused) && refused.URL.Path != apiPath {
		return true // the token service gives none without a repository
	}
	scheme, schemeErr := r.tokens.GetScheme(ctx, r.origin.Host)
	return schemeErr == nil && scheme == auth.SchemeBearer // it gave one that isn't good for /v2/
}

// Repository makes a client of the repository with that name. It asks nobody.
// A name that isn't one is errdef.ErrInvalidReference.
func (r *Registry) Repository(name string) (*Repository, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("%w: %w", errdef.ErrInvalidReference, err)
	}
	return &Repository{registry: r, name: name}, nil
}
