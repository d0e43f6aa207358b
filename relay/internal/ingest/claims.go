package ingest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// errTwice is returned for JSON in which an object has a member twice: which of the two counts
// would be the reader's choice, and two readers may choose differently.
var errTwice = errors.New("a member is there twice")

// checkToken checks what the token library lets pass (specification 6): header and claims are each
// one JSON object (RFC 7515, 7519) without a member that is there twice, at any depth, names being
// compared after unescaping.
func checkToken(token string) error {
	parts := strings.SplitN(token, ".", 3)
	if len(parts) != 3 {
		return errToken
	}
	for _, part := range parts[:2] {
		text, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return err
		}
		if err := checkObject(text); err != nil {
			return err
		}
	}
	return nil
}

// checkObject checks that text is one JSON object whose objects have no member twice.
func checkObject(text []byte) error {
	if !utf8.Valid(text) || !bytes.HasPrefix(text, []byte("{")) {
		return errToken
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := checkValue(decoder, 0); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errToken // something follows the object
	}
	return nil
}

// maxClaimDepth is how deep objects and lists of a token may be in one another: aud is a list,
// nothing else needs any.
const maxClaimDepth = 16

// checkValue reads the next value.
func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	opening, isList := token.(json.Delim)
	if !isList {
		return nil
	}
	if depth == maxClaimDepth {
		return errToken
	}
	var seen map[string]bool
	if opening == '{' {
		seen = make(map[string]bool)
	}
	for decoder.More() {
		if seen != nil {
			name, err := decoder.Token()
			if err != nil {
				return err
			}
			text, _ := name.(string) // a decoder gives strings where names are
			if seen[text] {
				return errTwice
			}
			seen[text] = true
		}
		if err := checkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	_, err = decoder.Token() // the closing one
	return err
}
