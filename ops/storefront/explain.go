package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/shared/storefront"
	"nightdrop/shared/text"
)

// explain prints what became of one envelope. It succeeds whatever that is: the outcome is in what
// it prints.
func explain(ctx context.Context, o resultsOptions, client *storefront.Client, outbox *storefront.Outbox, out io.Writer) error {
	x, err := client.Explain(ctx, outbox, o.explain)
	if err != nil {
		return err
	}
	o.bar.Close()
	if o.asJSON {
		return json.NewEncoder(out).Encode(x)
	}
	by := x.By
	if by == "" {
		by = "nobody"
	}
	fmt.Fprintf(out, "%s: %s\nanswerable: %s\n%s\nnext: %s\n", x.ID, x.Outcome, by, x.Means, x.Next)
	for _, warning := range x.Warnings {
		fmt.Fprintf(out, "note: %s\n", warning)
	}
	fmt.Fprintln(out, "\nevidence")
	return command.Table(out, func(table io.Writer) { printEvidence(table, x) })
}

func printEvidence(table io.Writer, x storefront.Explanation) {
	if x.Created != nil {
		fmt.Fprintf(table, "%s\tenvelope sealed, to be acted on until %s\t%.16s\n", x.Created, x.Until, x.Digest)
	}
	for _, r := range x.Receipts {
		fmt.Fprintf(table, "%s\treceipt of %s\tbag %.8s/%d, place %d\n", r.Received, r.Relay, r.Run, r.Number, r.Index)
	}
	if x.Refused != nil {
		fmt.Fprintf(table, "%s\trefused by the relay\t%d %s\n", x.Refused.At, x.Refused.Status, x.Refused.Code)
	}
	if x.Position != nil {
		fmt.Fprintf(table, "%s\tposition of %s\t%d runs\n", x.Position.Issued, x.Position.Vault, len(x.Position.Relays))
	}
	for _, r := range x.Results {
		fmt.Fprintf(table, "%s\tresult %d\t%s %s, leaf %d of %d\n", r.Created, r.Serial, r.Status, r.Code, r.Index, r.Checkpoint)
	}
	if x.Chain.Serial > 0 {
		fmt.Fprintf(table, "%s\tresults followed\tfrom %d to %d\n", envelope.At(x.Chain.Created), x.Chain.First, x.Chain.Serial)
	}
}

// compared is the comparison in --json.
type compared struct {
	Ours   int64 `json:"ours"`   // entries of the largest checkpoint seen here
	Theirs int64 `json:"theirs"` // and by the other reader
	Common int64 `json:"common"` // entries proved to be the same
	Equal  int   `json:"equal"`  // checkpoints that both have
}

// readTheirs reads what another reader saw.
func readTheirs(path string) (*proof.History, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	theirs, err := proof.HistoryOf(text.WithoutMark(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no log.json of another reader, and no checkpoint or tlog-proof: %w", command.ErrUsage, path, err)
	}
	if _, seen := theirs.Newest(); !seen {
		return nil, fmt.Errorf("%w: %s is no log.json of another reader who saw anything: it holds no checkpoint", command.ErrUsage, path)
	}
	return theirs, nil
}

// compare holds what was seen of the log here against what another reader saw: ErrLog where they
// were shown two logs.
func compare(ctx context.Context, o resultsOptions, client *storefront.Client, out io.Writer) error {
	theirs, err := readTheirs(o.compare)
	if err != nil {
		return err
	}
	if o.tiles != "" {
		return compareByCopy(ctx, o, client, theirs, out)
	}
	got, err := client.Compare(ctx, theirs)
	if err != nil {
		return err
	}
	if o.asJSON {
		return json.NewEncoder(out).Encode(compared{got.Ours, got.Theirs, got.Common, got.Equal})
	}
	_, err = fmt.Fprintln(out, got)
	return err
}
