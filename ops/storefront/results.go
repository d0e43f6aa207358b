package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

type resultsOptions struct {
	connectionOptions
	outbox string
	id     string
	wait   time.Duration
	asJSON bool
}

func newResultsCommand() *cobra.Command {
	var o resultsOptions
	cmd := &cobra.Command{
		Use:   "results --vault VKEY --relay URL",
		Short: "Read, check and open the merchant's new results",
		Long: "Read the results that came since the last time, check that none is missing, open them, and note in the outbox which envelopes\n" +
			"they answer.",
		Example: "  storefront results --vault @vault.vkey --relay https://relay.example --wait 30s\n" +
			"  storefront results --vault @vault.vkey --relay https://relay.example --id 0190a1b2-...",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runResults(cmd.Context(), o, cmd.OutOrStdout()) },
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.outbox, "outbox", "outbox", "directory that knows how far the results have been read")
	flags.StringVar(&o.id, "id", "", "only the results of this envelope, all of them, without moving on")
	flags.DurationVar(&o.wait, "wait", 0, "how long to wait for the first new result, up to 60s")
	flags.BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
	return cmd
}

func runResults(ctx context.Context, o resultsOptions, out io.Writer) error {
	if o.id != "" && !envelope.ValidID(o.id) {
		return fmt.Errorf("%w: --id is the UUID under which an envelope was posted", errUsage)
	}
	client, err := o.connect()
	if err != nil {
		return err
	}
	if o.id != "" {
		results, err := client.ResultsOf(ctx, o.id)
		if err != nil {
			return err
		}
		return printResults(o, out, results)
	}
	outbox, err := storefront.OpenOutbox(o.outbox)
	if err != nil {
		return err
	}
	chain, err := outbox.Chain()
	if err != nil {
		return err
	}
	var all []storefront.Opened
	for wait := o.wait; ; wait = 0 {
		page, err := client.Results(ctx, &chain, wait)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return printResults(o, out, all)
		}
		// A crash before this reads the page again; nothing is lost.
		if _, err := outbox.Record(page, chain); err != nil {
			return err
		}
		all = append(all, page...)
	}
}

// line is one result in --json.
type line struct {
	Serial  uint64         `json:"serial"`
	Created envelope.Time  `json:"created"`
	ID      string         `json:"id"`
	Digest  string         `json:"digest"`
	Facts   envelope.Facts `json:"facts"`
	Index   uint64         `json:"index"`
}

func printResults(o resultsOptions, out io.Writer, results []storefront.Opened) error {
	if o.asJSON {
		encoder := json.NewEncoder(out)
		for _, r := range results {
			if err := encoder.Encode(line{r.Result.Serial, r.Result.Created, r.Result.ID, r.Result.Digest, r.Facts, r.Place.Index}); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "SERIAL\tPAYMENT\tSTATUS\tCODE\tAMOUNT\tACCOUNT\tAPPROVAL\tBATCH\tTOKEN\tREFERENCE")
	for _, r := range results {
		f := r.Facts
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Result.Serial, f.Payment, f.Status, f.Code,
			envelope.FormatAmount(f.Amount, f.Currency), f.Masked, f.Approval, f.Batch, f.Token, f.Reference)
	}
	return table.Flush()
}
