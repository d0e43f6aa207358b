package storefront

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
)

// Refusal is a relay's last refusal of an envelope, of this copy only, as the outbox keeps it.
type Refusal struct {
	Status int           `json:"status"` // HTTP
	Code   string        `json:"code"`   // specification 6
	At     envelope.Time `json:"at"`     // by the storefront's clock
}

const refusalName = ".refused.json"

// KeepReceipt stores a receipt durably; an envelope may have several, of bags that each hold it.
// Keep every envelope and receipt: [Client.Explain] has nothing else to detect a lost one by.
func (o *Outbox) KeepReceipt(receipt envelope.Signed[envelope.Receipt]) error {
	r := receipt.Value
	if !envelope.ValidID(r.ID) { // it becomes a file's name
		return errors.New("not an envelope id: a UUID of version 4 or 7 in lower case")
	}
	return durable.Replace(o.path("receipts", fmt.Sprintf("%s.%s-%.8s-%d", r.ID, r.Relay, r.Run, r.Number)), receipt.Note)
}

// KeepRefusal stores a relay's refusal of an envelope.
func (o *Outbox) KeepRefusal(id string, r Refusal) error {
	if !envelope.ValidID(id) {
		return errors.New("not an envelope id: a UUID of version 4 or 7 in lower case")
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(o.dir, "receipts", id+refusalName), append(data, '\n'))
}

// Receipts returns the relays' answers to an envelope's posts: the receipts, verified when they
// came, and the last refusal or nil.
func (o *Outbox) Receipts(id string) (receipts []envelope.Receipt, refused *Refusal, err error) {
	if !envelope.ValidID(id) {
		return nil, nil, errors.New("not an envelope id: a UUID of version 4 or 7 in lower case")
	}
	entries, err := os.ReadDir(filepath.Join(o.dir, "receipts"))
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), id+".") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(o.dir, "receipts", entry.Name()))
		if err != nil {
			return nil, nil, err
		}
		if strings.HasSuffix(entry.Name(), refusalName) {
			refused = &Refusal{}
			err = json.Unmarshal(data, refused)
		} else {
			var receipt envelope.Receipt
			receipt, err = envelope.Peek[envelope.Receipt](data)
			receipts = append(receipts, receipt)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("outbox: what is kept of a post of %s is damaged: %w", id, err)
		}
	}
	return receipts, refused, nil
}

// KeepEvidence stores two contradicting statements of a vault as evidence/NNNN-kept.note and
// NNNN-got.note, from 1, and returns the first path. They hold nothing secret.
func (o *Outbox) KeepEvidence(c *proof.Contradiction) (string, error) {
	dir := filepath.Join(o.dir, "evidence")
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("%04d", len(entries)/2+1)
	kept := o.path("evidence", name+"-kept")
	if err := durable.Replace(kept, c.Kept); err != nil {
		return "", err
	}
	return kept, durable.Replace(o.path("evidence", name+"-got"), c.Got)
}

// answers returns the vault's notes about an answered envelope, as received, by serial.
func (o *Outbox) answers(id string) (notes []string, err error) {
	if _, err := os.Stat(o.path("answered", id)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	return o.resultsOf(id)
}

// resultsOf returns the recorded notes about an envelope, as received, by serial.
func (o *Outbox) resultsOf(id string) (notes []string, err error) {
	entries, err := os.ReadDir(filepath.Join(o.dir, "results"))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(o.dir, "results", entry.Name()))
		if err != nil {
			return nil, err
		}
		if r, err := envelope.Peek[envelope.Result](data); err == nil && r.ID == id {
			notes = append(notes, string(data))
		}
	}
	return notes, nil
}
