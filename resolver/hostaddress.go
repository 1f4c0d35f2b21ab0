package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ParseResolve reads what says at which address a host is, HOST:PORT:ADDRESS or
// HOST:PORT:ADDRESS:PORT, as oras and curl have it. An IPv6 address is in brackets.
// The answer has the addresses with their ports, by HOST:PORT in lower case.
func ParseResolve(entries []string) (map[string]string, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	table := make(map[string]string, len(entries))
	for _, entry := range entries {
		host, address, err := parseResolve(entry)
		if err != nil {
			return nil, fmt.Errorf("%q: %w: HOST:PORT:ADDRESS[:ADDRESS_PORT] is needed", entry, err)
		}
		table[host] = address
	}
	return table, nil
}

func parseResolve(entry string) (host, address string, err error) {
	name, rest, _ := strings.Cut(entry, ":")
	port, rest, ok := strings.Cut(rest, ":")
	if !ok {
		return "", "", errors.New("no address")
	}
	if err := checkHost(name + ":" + port); err != nil {
		return "", "", err
	}
	to, toPort, bracketed := rest, port, strings.HasPrefix(rest, "[")
	if i := strings.LastIndex(rest, ":"); i >= 0 && (!bracketed || i > strings.LastIndex(rest, "]")) {
		to, toPort = rest[:i], rest[i+1:]
	}
	if bracketed {
		to = strings.TrimSuffix(strings.TrimPrefix(to, "["), "]")
	}
	addr, err := netip.ParseAddr(to)
	if err != nil || addr.Is6() != bracketed {
		return "", "", fmt.Errorf("%q isn't an IP address", to)
	}
	if n, err := strconv.ParseUint(toPort, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("%q isn't a port", toPort)
	}
	return strings.ToLower(name) + ":" + port, net.JoinHostPort(addr.String(), toPort), nil
}

// resolved is where to connect to for HOST:PORT: known tells that the user has said so.
func (o *Options) resolved(hostport string) (address string, known bool) {
	if address, ok := o.Resolve[strings.ToLower(hostport)]; ok {
		return address, true
	}
	return hostport, false
}

// A dialFunc connects.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// resolving is dial, to where the user says that a host is.
func (o *Options) resolving(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		address, _ = o.resolved(address)
		return dial(ctx, network, address)
	}
}
