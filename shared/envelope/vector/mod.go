package vector

import (
	modnote "golang.org/x/mod/sumdb/note"

	"nightdrop/shared/note"
)

// OpenByMod opens a note with golang.org/x/mod/sumdb/note, from the plain vkey, and returns its
// text.
func OpenByMod(msg []byte, v note.Verifier) (text string, err error) {
	verifier, err := modnote.NewVerifier(v.String())
	if err != nil {
		return "", err
	}
	opened, err := modnote.Open(msg, modnote.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	return opened.Text, nil
}

// SignByMod signs text with golang.org/x/mod/sumdb/note, which reads the key from its line.
func SignByMod(text []byte, s *note.Signer) ([]byte, error) {
	signer, err := modnote.NewSigner(string(s.Encode()))
	if err != nil {
		return nil, err
	}
	return modnote.Sign(&modnote.Note{Text: string(text)}, signer)
}
