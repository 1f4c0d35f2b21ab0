package resolver

import (
	"context"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxTokens bounds the tokens that are kept: there is one of some kilobytes
// for every repository that was asked for.
const maxTokens = 1000

// A tokenCache is oras-go's, bounded, and fit for callers that are interrupted.
type tokenCache struct {
	mu    sync.Mutex // guards everything below
	cache auth.Cache
	left  int // tokens until all are forgotten
}

func newTokenCache() *tokenCache {
	return &tokenCache{cache: auth.NewCache(), left: maxTokens}
}

func (c *tokenCache) current() auth.Cache {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cache
}

// GetScheme implements auth.Cache.
func (c *tokenCache) GetScheme(ctx context.Context, registry string) (auth.Scheme, error) {
	return c.current().GetScheme(ctx, registry)
}

// GetToken implements auth.Cache.
func (c *tokenCache) GetToken(ctx context.Context, registry string, scheme auth.Scheme, key string) (string, error) {
	return c.current().GetToken(ctx, registry, scheme, key)
}

// Set implements auth.Cache. Of several callers one fetches and all get its
// answer. oras-go lets the next one fetch only if the first returns the bare
// error of its context; wrapped, a caller's interrupt would fail all the others.
func (c *tokenCache) Set(ctx context.Context, registry string, scheme auth.Scheme, key string, fetch func(context.Context) (string, error)) (string, error) {
	return c.current().Set(ctx, registry, scheme, key, func(ctx context.Context) (string, error) {
		token, err := fetch(forToken(ctx))
		switch {
		case err != nil && ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil && scheme == auth.SchemeBearer:
			return "", &tokenError{err}
		}
		if err == nil {
			c.count()
		}
		return token, err
	})
}

// count forgets all tokens after maxTokens. Those in use are fetched again.
func (c *tokenCache) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		c.cache, c.left = auth.NewCache(), maxTokens
	}
}
