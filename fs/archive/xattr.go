package archive

import (
	"encoding/binary"
	"slices"
	"strings"
)

// packXattrs writes attributes as an index has them. Of two of one name the last
// one counts.
func packXattrs(list []Xattr) string {
	slices.SortStableFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	var packed []byte
	for i, x := range list {
		if i+1 < len(list) && list[i+1].Name == x.Name {
			continue
		}
		packed = append(packed, byte(len(x.Name)))                              //nolint:gosec // at most maxName
		packed = binary.LittleEndian.AppendUint32(packed, uint32(len(x.Value))) //nolint:gosec // at most maxXattrs
		packed = append(append(packed, x.Name...), x.Value...)
	}
	return string(packed)
}

// unpackXattrs reads what packXattrs wrote.
func unpackXattrs(raw string) ([]Xattr, error) {
	var list []Xattr
	for len(raw) > 0 {
		if len(raw) < 5 {
			return nil, damaged("attributes")
		}
		name, value := uint64(raw[0]), uint64(record(raw).u32(1))
		raw = raw[5:]
		if name+value > uint64(len(raw)) {
			return nil, damaged("attributes")
		}
		list = append(list, Xattr{raw[:name], raw[name : name+value]})
		raw = raw[name+value:]
	}
	return list, nil
}

// withoutUser is packed attributes without those of users, which Linux has for files
// and directories only (xattr(7)).
func withoutUser(packed string) string {
	list, err := unpackXattrs(packed)
	if err != nil {
		return ""
	}
	return packXattrs(slices.DeleteFunc(list, func(x Xattr) bool { return strings.HasPrefix(x.Name, "user.") }))
}

// addXattrs is packed attributes with further ones, which win. Those that would
// exceed what a file can have are left out.
func addXattrs(packed, further string) string {
	switch {
	case packed == "":
		return further
	case further == "", packed == further:
		return packed
	}
	before, err := unpackXattrs(packed)
	if err != nil {
		return further
	}
	more, err := unpackXattrs(further)
	if err != nil {
		return packed
	}
	all := packXattrs(append(before, more...))
	if len(all) > maxXattrs {
		return further
	}
	return all
}
