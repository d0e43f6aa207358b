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
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

type postOptions struct {
	connectionOptions
	csv         string
	outbox      string
	timeout     time.Duration
	concurrency int
	asJSON      bool
}

func newPostCommand() *cobra.Command {
	var o postOptions
	cmd := &cobra.Command{
		Use:   "post (FILE... | --csv FILE) --vault VKEY --relay URL",
		Short: "Post sealed envelopes, or seal and post every row of a CSV file",
		Long: "Post sealed envelopes until each is answered, and check the receipts; or seal and post every row of a CSV file.\n\n" +
			"A CSV file has a header with the column reference and, as its rows need them,\n" +
			"  operation (" + joined(operations()) + "; empty: sale), amount (minor units), currency,\n" +
			"  number and expiry (YYYY-MM) of a card, or routing, account and type (checking, savings) of a bank account, name, code,\n" +
			"  token (a stored account), of (the payment's id), descriptor, id, merchant (other merchants' rows are passed over).\n" +
			"Rows are posted side by side: what names another payment belongs into a later file. Envelopes are kept in the outbox until their\n" +
			"results are read, so an interrupted run is simply run again: the same bytes are posted, and nothing is done twice.",
		Example: "  storefront post --vault @vault.vkey --relay https://relay.example order-17.note\n" +
			"  storefront post --vault @vault.vkey --relay https://relay.example --csv payments.csv --outbox outbox",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (o.csv == "") == (len(args) == 0) {
				return fmt.Errorf("%w: give envelope files, or --csv FILE", command.ErrUsage)
			}
			if o.csv != "" {
				return runPostCSV(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return runPost(cmd.Context(), o, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.csv, "csv", "", "CSV file of instructions")
	flags.StringVar(&o.outbox, "outbox", "outbox", "directory that keeps envelopes until their results are read, and receipts")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to go on posting one envelope while the relay is away")
	flags.IntVar(&o.concurrency, "concurrency", 16, "envelopes posted at once from a CSV file, 1 to 64")
	flags.BoolVar(&o.asJSON, "json", false, "print receipts as JSON")
	command.Files(cmd, "csv", "csv")
	cmd.ValidArgsFunction = cobra.FixedCompletions([]string{"note"}, cobra.ShellCompDirectiveFilterFileExt)
	return cmd
}

func runPost(ctx context.Context, o postOptions, files []string, out, errOut io.Writer) error {
	client, err := o.connect()
	if err != nil {
		return err
	}
	outbox, err := storefront.OpenOutbox(o.outbox)
	if err != nil {
		return err
	}
	bar := command.NewBar(errOut, "posting")
	receipts, err := postFiles(ctx, poster{client, outbox, o.timeout}, files, bar)
	bar.Close()
	// What was posted before a failure is printed all the same.
	return errors.Join(printReceipts(o, out, receipts), err)
}

func postFiles(ctx context.Context, p poster, files []string, bar *command.Bar) ([]envelope.Receipt, error) {
	receipts := []envelope.Receipt{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return receipts, err
		}
		sealed, err := p.client.Read(data)
		if err == nil {
			sealed, err = p.outbox.Keep(sealed)
		}
		if err != nil {
			return receipts, fmt.Errorf("%s: %w", file, err)
		}
		if !bytes.Equal(sealed.Note, data) {
			return receipts, fmt.Errorf("%s: %w: another envelope of its id was posted from this outbox, and the vault takes one", file, fs.ErrExist)
		}
		receipt, err := p.post(ctx, sealed)
		if err != nil {
			return receipts, fmt.Errorf("%s: %w", file, err)
		}
		receipts = append(receipts, receipt)
		bar.Add(1, int64(len(files)))
	}
	return receipts, nil
}

// poster posts envelopes that the outbox keeps, and keeps what the relay says to each: `results
// --explain` goes by that.
type poster struct {
	client  *storefront.Client
	outbox  *storefront.Outbox
	timeout time.Duration // of one envelope
}

func (p poster) post(ctx context.Context, sealed storefront.Sealed) (envelope.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	receipt, err := p.client.PostSigned(ctx, sealed.Note)
	if refused, ok := errors.AsType[*storefront.Refused](err); ok && !refused.Temporary() {
		return receipt.Value, errors.Join(err, p.outbox.KeepRefusal(sealed.ID, storefront.Refusal{Status: refused.Status, Code: refused.Code, At: envelope.At(time.Now())}))
	}
	if err != nil {
		return receipt.Value, err
	}
	return receipt.Value, p.outbox.KeepReceipt(receipt)
}

func printReceipts(o postOptions, out io.Writer, receipts []envelope.Receipt) error {
	if o.asJSON {
		return json.NewEncoder(out).Encode(receipts)
	}
	if len(receipts) == 0 {
		return nil
	}
	return command.Table(out, func(table io.Writer) {
		command.Row(table, "ID", "RELAY", "BAG", "INDEX", "RECEIVED")
		for _, r := range receipts {
			command.Row(table, r.ID, r.Relay, fmt.Sprintf("%.8s/%d", r.Run, r.Number), r.Index, r.Received)
		}
	})
}
