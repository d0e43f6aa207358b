package config

import (
	"encoding"
	"reflect"
	"strings"
)

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// keysOf lists the dotted names of every key and table that t, a struct or a pointer to one, knows.
func keysOf(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return nil
	}
	var keys []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		keys = append(keys, name)
		for _, inner := range keysOf(field.Type) {
			keys = append(keys, name+"."+inner)
		}
	}
	return keys
}

// nearest picks the known key that key was most likely meant to be: by edit distance of the whole
// name, or of its last part where the key only stands in the wrong table.
func nearest(key string, known []string) string {
	best, least := "", -1
	for _, candidate := range known {
		d := min(distance(key, candidate), distance(leaf(key), leaf(candidate))+1)
		if least < 0 || d < least {
			best, least = candidate, d
		}
	}
	return best
}

func leaf(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
