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

// errTwice refuses JSON in which an object repeats a member: two readers may choose differently.
var errTwice = errors.New("a member occurs twice")

// checkToken checks what the token library lets pass (specification 6): header and claims are each
// one JSON object (RFC 7515, 7519) with no repeated member at any depth, compared after unescaping.
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

// maxClaimDepth bounds nesting in a token: aud is a list, nothing else needs any.
const maxClaimDepth = 16

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
