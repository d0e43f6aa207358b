package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/tiles"
	"nightdrop/shared/storefront"
)

// openCopy opens the copy of the log that --tiles names.
func openCopy(ctx context.Context, o resultsOptions, client *storefront.Client) (*proof.Tiles, error) {
	server, err := o.httpClient()
	if err != nil {
		return nil, err
	}
	source, err := tiles.Open(o.tiles, server)
	if err != nil {
		return nil, fmt.Errorf("%w: --tiles: %w", command.ErrUsage, err)
	}
	return client.OpenTiles(ctx, watched{source, o.bar})
}

// watched is a copy whose reading is shown.
type watched struct {
	proof.TileSource
	bar *command.Bar
}

// ReadFile implements proof.TileSource.
func (w watched) ReadFile(ctx context.Context, path string, limit int) ([]byte, error) {
	w.bar.Add(1, 0)
	return w.TileSource.ReadFile(ctx, path, limit)
}

// provedLater is a result and its proof in --json: all that anybody needs to check it with the
// vault's key alone.
type provedLater struct {
	Serial  uint64 `json:"serial"`
	ID      string `json:"id"`
	Index   uint64 `json:"index"`
	Entries int64  `json:"entries"` // of the checkpoint
	Facts   string `json:"facts"`   // line 1 of the result, as the leaf hashes it
	Salt    []byte `json:"salt"`
	Entry   string `json:"entry"`
	Proof   string `json:"proof"` // C2SP tlog-proof
}

// prove proves the results of one envelope by a copy of the log.
func prove(ctx context.Context, o resultsOptions, client *storefront.Client, outbox *storefront.Outbox, out io.Writer) error {
	results, err := client.AllResultsOf(ctx, outbox, o.prove)
	if err != nil {
		return err
	}
	log, err := openCopy(ctx, o, client)
	if err != nil {
		return err
	}
	for _, r := range results {
		later, err := client.ProveLater(ctx, log, r)
		if err != nil {
			return fmt.Errorf("result %d: %w", r.Result.Serial, err)
		}
		if err := o.bar.Aside(func() error { return printProof(o, out, r, later) }); err != nil {
			return err
		}
	}
	if o.asJSON {
		return nil
	}
	o.bar.Close()
	return printAge(out, client, log)
}

func printProof(o resultsOptions, out io.Writer, r storefront.Opened, later storefront.Later) error {
	written := ""
	if o.out != "" {
		path, err := writeProof(o.out, r, later)
		if err != nil {
			return err
		}
		written = ", in " + path
	}
	if o.asJSON {
		return json.NewEncoder(out).Encode(provedLater{r.Result.Serial, r.Result.ID, r.Place.Index, later.Checkpoint.Size, string(r.FactsLine),
			r.Place.Salt, r.Place.Entry, string(later.Proof)})
	}
	fmt.Fprintf(out, "result %d, %s %s: entry %d of the log, by the vault's checkpoint of %d entries%s\n", r.Result.Serial, r.Facts.Status, r.Facts.Code,
		r.Place.Index, later.Checkpoint.Size, written)
	if written == "" {
		fmt.Fprintf(out, "%s\n", later.Proof)
	}
	return nil
}

// writeProof writes a proof into a new file, durably. One that is there already is passed over, so
// that what was broken off is completed.
func writeProof(dir string, r storefront.Opened, later storefront.Later) (string, error) {
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%012d-%d.tlog-proof", r.Result.Serial, later.Checkpoint.Size))
	err := durable.Create(path, later.Proof)
	if errors.Is(err, fs.ErrExist) {
		there, readErr := os.ReadFile(path)
		if readErr == nil && !bytes.Equal(there, later.Proof) {
			readErr = fmt.Errorf("%s is there, is not this proof and is not overwritten: move it away, or give another directory (%w)", path, fs.ErrExist)
		}
		return path, readErr
	}
	if err != nil {
		return "", fmt.Errorf("write the proof: %w", err)
	}
	return path, nil
}

// printAge warns when a copy is older than what was seen.
func printAge(out io.Writer, client *storefront.Client, log *proof.Tiles) error {
	seen, err := client.Seen()
	if err != nil {
		return err
	}
	if newest, _ := seen.Newest(); newest.Size > log.Checkpoint().Size {
		fmt.Fprintf(out, "note: this copy ends after %d entries, and the log was shown to have %d: take a newer copy for a newer proof\n", log.Checkpoint().Size, newest.Size)
	}
	return nil
}

// agreed is how far a copy and what was seen agree, in --json.
type agreed struct {
	Entries int64 `json:"entries"` // that the copy has
	Shown   int64 `json:"shown"`   // of the largest checkpoint seen
	Common  int64 `json:"common"`  // proved to be the same
	Checked int   `json:"checked"` // checkpoints seen that are of the copy's log
	Beyond  int   `json:"beyond"`  // checkpoints of more entries than the copy has
}

// checkCopy holds all that was seen of the log here against a copy of it: ErrLog where they are two
// logs.
func checkCopy(ctx context.Context, o resultsOptions, client *storefront.Client, out io.Writer) error {
	log, err := openCopy(ctx, o, client)
	if err != nil {
		return err
	}
	got, err := client.CheckTiles(ctx, log)
	if err != nil {
		return err
	}
	o.bar.Close()
	if o.asJSON {
		return json.NewEncoder(out).Encode(agreed(got))
	}
	_, err = fmt.Fprintln(out, got)
	return err
}

// compareByCopy holds what was seen here and by another reader against one copy.
func compareByCopy(ctx context.Context, o resultsOptions, client *storefront.Client, theirs *proof.History, out io.Writer) error {
	log, err := openCopy(ctx, o, client)
	if err != nil {
		return err
	}
	ours, others, err := client.CompareTiles(ctx, theirs, log)
	if err != nil {
		return err
	}
	o.bar.Close()
	if o.asJSON {
		return json.NewEncoder(out).Encode(map[string]agreed{"ours": agreed(ours), "theirs": agreed(others)})
	}
	_, err = fmt.Fprintf(out, "here: %s\n%s: %s\n", ours, o.compare, others)
	return err
}
