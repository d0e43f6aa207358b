package envelope

import (
	"bytes"

	"nightdrop/shared/note"
	"nightdrop/shared/strictjson"
)

// Result is the vault's signed answer (nightdrop/result/v1); its sealed part holds the facts. A
// merchant's results are a chain, so a withheld one shows.
type Result struct {
	Merchant string `json:"merchant"`
	Serial   uint64 `json:"serial"`   // of the merchant's results, from 1
	Previous string `json:"previous"` // digest of the result before, ZeroDigest for serial 1
	ID       string `json:"id"`       // of the envelope that began what the result is about
	Digest   string `json:"digest"`   // of that envelope
	Created  Time   `json:"created"`
	Sealed   Part   `json:"sealed"`
}

func (Result) typeLine() string    { return "nightdrop/result/v1" }
func (Result) policy() note.Policy { return note.Policy{Single: true} }

// signedBy is empty: the reader knows the vault's keys.
func (Result) signedBy() string { return "" }

func (r Result) check() error {
	if err := first(
		checkIdentity(r.Merchant, r.ID),
		require(r.Serial >= 1, "serial counts from 1"),
		require(validDigest(r.Previous), "previous is not 64 hex digits"),
		require((r.Serial == 1) == (r.Previous == ZeroDigest), "previous is 64 zeros in serial 1 and only there"),
		require(validDigest(r.Digest), "digest is not 64 hex digits"),
	); err != nil {
		return err
	}
	if err := r.Sealed.CheckForm(PartResult); err != nil {
		return err
	}
	return require(r.Sealed.Key.Serves(PartResult), "a result is sealed to a reply key")
}

// Place is the position in the log of what a result says.
type Place struct {
	Index uint64 `json:"index"` // of the leaf
	Salt  []byte `json:"salt"`  // 16 bytes
	Entry string `json:"entry"` // hex SHA-256 of the sealed log entry
}

func (p Place) check() error {
	return first(
		require(len(p.Salt) == 16, "salt is not 16 bytes"),
		require(validDigest(p.Entry), "entry is not 64 hex digits"),
	)
}

// proofHeader begins a C2SP tlog-proof.
const proofHeader = "c2sp.org/tlog-proof@v1\n"

// EncodeResult returns a result's plaintext of 4,096 bytes: facts (from [EncodeFacts]), the place,
// a C2SP tlog-proof if any, spaces.
func EncodeResult(facts []byte, p Place, proof []byte) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if _, err := decodeFacts(facts); err != nil {
		return nil, err
	}
	if err := checkProof(proof); err != nil {
		return nil, err
	}
	place, err := strictjson.Marshal(p)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, ResultBytes)
	plain = append(append(plain, facts...), '\n')
	plain = append(append(plain, place...), '\n')
	plain = append(plain, proof...)
	if len(plain) > ResultBytes {
		return nil, malformed("a result's plaintext is over 4,096 bytes")
	}
	return append(plain, bytes.Repeat([]byte{' '}, ResultBytes-len(plain))...), nil
}

// DecodeResult reads a result's plaintext. factsLine is line 1 without newline, as the log's leaf
// has it; proof is nil if absent. Both are slices of plain. shared/proof reads the proof itself.
func DecodeResult(plain []byte) (f Facts, p Place, factsLine, proof []byte, err error) {
	if len(plain) != ResultBytes {
		return f, p, nil, nil, malformed("a result's plaintext is not 4,096 bytes")
	}
	factsLine, rest, _ := bytes.Cut(plain, []byte{'\n'})
	placeLine, rest, ok := bytes.Cut(rest, []byte{'\n'})
	if !ok {
		return f, p, nil, nil, malformed("a result's plaintext does not begin with two lines")
	}
	if f, err = decodeFacts(factsLine); err != nil {
		return Facts{}, p, nil, nil, err
	}
	if err = strictjson.Unmarshal(placeLine, &p); err != nil {
		return Facts{}, Place{}, nil, nil, class(err)
	}
	if err = p.check(); err != nil {
		return Facts{}, Place{}, nil, nil, err
	}
	if trimmed := bytes.TrimRight(rest, " "); len(trimmed) > 0 {
		proof = trimmed
	}
	if err = checkProof(proof); err != nil {
		return Facts{}, Place{}, nil, nil, err
	}
	return f, p, factsLine, proof, nil
}

func checkProof(proof []byte) error {
	if len(proof) == 0 {
		return nil
	}
	return require(bytes.HasPrefix(proof, []byte(proofHeader)) && proof[len(proof)-1] == '\n', "what follows the place is not a tlog-proof")
}
