package fs

import "errors"

// Reload has all registries read again what says how they are reached: credentials,
// certificates and mirrors. What is mounted stays. The error says what couldn't be
// read, of which what was read before holds.
func (s *Server) Reload() error {
	var all []error
	if s.registry != nil {
		all = append(all, s.registry.Reload())
	}
	for _, host := range s.tree.registries.Keys() {
		if r, ok := s.tree.registries.Peek(host); ok {
			all = append(all, r.remote.Reload())
		}
	}
	return errors.Join(all...)
}
