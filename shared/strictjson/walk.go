package strictjson

import "strconv"

// Kind is what a value given to Walk's function is.
type Kind int

// The kinds of values.
const (
	String  Kind = iota + 1 // value: what the string stands for
	Integer                 // value: its decimal digits
	Bool                    // value: true or false
	// an object or array without elements; value is nil. Most formats must refuse it
	Empty
)

// Limits of Walk.
const (
	maxDepth     = 16 // of objects and arrays; the deepest format has 2
	maxNameBytes = 32 // of a member's name; the longest has 9
)

// Walk checks data as Unmarshal does and calls fn for every scalar in the order of the text, and
// for empty objects and arrays. path holds the members' names, and decimal indices of array
// elements; it is valid during the call. value is in a buffer that is cleared when fn returns: this
// is the door for account data, of which no Go string may exist. fn must itself refuse paths and
// kinds that it does not know and miss those that it needs. Member names are 1 to 32 lower-case
// letters, so that a number in a name's place does not become a Go string either. An error of fn
// ends the walk and is returned as it is.
func Walk(data []byte, fn func(path []string, kind Kind, value []byte) error) error {
	l, err := newLexer(data)
	if err != nil {
		return err
	}
	w := walker{lexer: l, fn: fn, buf: make([]byte, 0, len(data))}
	defer func() { clear(w.buf[:cap(w.buf)]) }()
	if err := w.value(); err != nil {
		return err
	}
	return l.end()
}

type walker struct {
	*lexer
	fn   func([]string, Kind, []byte) error
	path []string
	buf  []byte // capacity of the whole text, so never reallocated
}

func (w *walker) value() error {
	if len(w.path) > maxDepth {
		return w.fail("nested too deeply")
	}
	switch w.peek() {
	case '{':
		return w.object()
	case '[':
		return w.array()
	case '"':
		text, err := w.text(w.buf)
		if err != nil {
			return err
		}
		return w.call(String, text)
	case 't', 'f':
		b, err := w.boolean()
		if err != nil {
			return err
		}
		return w.call(Bool, strconv.AppendBool(w.buf[:0], b))
	default:
		_, digits, err := w.integer()
		if err != nil {
			return err
		}
		return w.call(Integer, append(w.buf[:0], digits...))
	}
}

func (w *walker) call(kind Kind, value []byte) error {
	defer clear(value)
	return w.fn(w.path, kind, value)
}

func (w *walker) object() error {
	seen := map[string]bool{}
	err := w.each('{', '}', func(int) error {
		raw, err := w.name(w.buf)
		if err != nil {
			return err
		}
		if !plainName(raw) {
			clear(raw)
			return w.fail("an unknown member")
		}
		name := string(raw)
		if seen[name] {
			return w.fail("a member occurs twice")
		}
		seen[name] = true
		return w.below(name)
	})
	if err == nil && len(seen) == 0 {
		return w.call(Empty, nil)
	}
	return err
}

func (w *walker) array() error {
	count := 0
	err := w.each('[', ']', func(n int) error {
		count++
		return w.below(strconv.Itoa(n))
	})
	if err == nil && count == 0 {
		return w.call(Empty, nil)
	}
	return err
}

func (w *walker) below(name string) error {
	w.path = append(w.path, name)
	err := w.value()
	w.path = w.path[:len(w.path)-1]
	return err
}

func plainName(name []byte) bool {
	if len(name) == 0 || len(name) > maxNameBytes {
		return false
	}
	for _, c := range name {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}
