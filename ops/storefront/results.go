package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/shared/storefront"
	"nightdrop/shared/text"
)

type resultsOptions struct {
	connectionOptions
	outbox  string
	id      string
	explain string
	compare string
	prove   string
	checks  bool   // the log that was seen
	tiles   string // directory or address
	out     string // directory for proofs
	bar     *command.Bar
	since   uint64 // serial
	wait    time.Duration
	asJSON  bool
}

func newResultsCommand() *cobra.Command {
	var o resultsOptions
	cmd := &cobra.Command{
		Use:   "results --vault VKEY --relay URL",
		Short: "Read, check and open the merchant's new results",
		Long: "Read the results that came since the last time, check that none is missing, open them, check that the vault's log holds what they\n" +
			"say, and note in the outbox which envelopes they answer. Missing ones are named by their serials (exit code 7) until they have come: the\n" +
			"vault's operator publishes them again with `vault results resend`. What was seen of the log is kept in the outbox too, so that a log which is\n" +
			"rewound, rewritten or shown differently to another reader is noticed (exit code 7).\n\n" +
			"Results count as read once they are printed, a page of at most 100 at a time: what could not be written, as onto a full disk, comes again\n" +
			"(exit code 1). Of a pipe nobody knows what its reader took: --since SERIAL reads again from that serial on, as far as the relay has them, and\n" +
			"leaves how far the results have been read where it was.\n\n" +
			"--explain ID says what became of an envelope, and who dropped it, from its receipts, the vault's position and the results.\n" +
			"--compare FILE holds the log that was seen here against what another reader saw: an outbox/log.json, a checkpoint or a tlog-proof.\n\n" +
			"--tiles PLACE is a copy of the vault's log: a directory that `vault audit export` wrote (its checkpoint and tile/ are enough), or the https\n" +
			"address of one (http:// on loopback). It needs no trust: all that it shows is checked against the root that the vault signed in it.\n" +
			"--prove ID proves each result of an envelope by the copy's checkpoint (C2SP tlog-proof), also results that came long ago or without a proof.\n" +
			"--check-log holds what was seen of the log against the copy, entry by entry as far as the copy reaches: checkpoints that are newer are counted\n" +
			"and not checked, and where all are, take a newer copy (exit code 8). --compare with --tiles does so with what the other reader saw too.\n\n" +
			"Where the relay is not reached, --prove, --check-log and --compare go on with what is in the outbox, and believe what the key in --vault has\n" +
			"signed: the vault's other keys, after a change, are known from the relay alone (exit code 8).",
		Example: "  storefront results --vault @vault.vkey --relay https://relay.example --wait 30s\n" +
			"  storefront results --vault @vault.vkey --relay https://relay.example --since 1201 --json\n" +
			"  storefront results --vault @vault.vkey --relay https://relay.example --id 0190a1b2-...\n" +
			"  storefront results --vault @vault.vkey --relay https://relay.example --explain 0190a1b2-...\n" +
			"  storefront results --vault @vault.vkey --relay https://relay.example --compare other-shop/log.json\n" +
			"  storefront results --vault @vault.vkey --relay https://relay.example --prove 0190a1b2-... --tiles https://auditor.example/vault\n" +
			"  storefront results --vault @vault.vkey --relay https://relay.example --check-log --tiles /media/auditor/log",
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runResults(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.outbox, "outbox", "outbox", "directory that knows how far the results have been read")
	flags.StringVar(&o.id, "id", "", "only the results of this envelope, all of them, without moving on")
	flags.Uint64Var(&o.since, "since", 0, "read again from this serial on, without moving on")
	flags.StringVar(&o.explain, "explain", "", "say what became of the envelope of this id, without moving on")
	flags.StringVar(&o.compare, "compare", "", "file of what another reader saw of the vault's log (log.json, checkpoint or tlog-proof), to hold against ours")
	flags.StringVar(&o.prove, "prove", "", "prove each result of the envelope of this id by the copy in --tiles")
	flags.BoolVar(&o.checks, "check-log", false, "hold what was seen of the vault's log against the copy in --tiles, as far as it reaches")
	flags.StringVar(&o.tiles, "tiles", "", "copy of the vault's log: a directory, or an https address (http on loopback), for which --ca counts too")
	flags.StringVar(&o.out, "out", "", "directory for the proofs of --prove, each in a file, instead of printing them; no other file is overwritten")
	flags.DurationVar(&o.wait, "wait", 0, "how long to wait for the first new result, up to 60s")
	flags.BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
	for _, flag := range []string{"id", "explain", "prove"} {
		// it fails for a flag that is not there
		_ = cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return keptIDs(o.outbox), cobra.ShellCompDirectiveNoFileComp
		})
	}
	return cmd
}

// keptIDs lists the ids of the envelopes in an outbox, answered or not, for a shell; none where
// there is no outbox.
func keptIDs(outbox string) (ids []string) {
	for _, folder := range []string{"pending", "answered"} {
		entries, _ := os.ReadDir(filepath.Join(outbox, folder))
		for _, entry := range entries {
			if id, found := strings.CutSuffix(entry.Name(), ".note"); found && envelope.ValidID(id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func runResults(ctx context.Context, o resultsOptions, out, errOut io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	outbox, err := storefront.OpenOutbox(o.outbox)
	if err != nil {
		return err
	}
	o.log = outbox.Log()
	if o.compare != "" || o.prove != "" || o.checks {
		o.unreached = func(err error) {
			fmt.Fprintf(errOut, "storefront: the relay was not reached (%v): going on with what is in the outbox; newer results are missing, and of the vault's keys "+
				"only the one in --vault counts\n", err)
		}
	}
	what := "reading results"
	if o.tiles != "" {
		what = "reading the copy of the log: files"
	}
	o.bar = command.NewBar(errOut, what)
	defer o.bar.Close()
	client, err := o.connect()
	if err != nil {
		return err
	}
	switch {
	case o.explain != "":
		return explain(ctx, o, client, outbox, out)
	case o.compare != "":
		return keepEvidence(outbox, compare(ctx, o, client, out))
	case o.prove != "":
		return keepEvidence(outbox, prove(ctx, o, client, outbox, out))
	case o.checks:
		return keepEvidence(outbox, checkCopy(ctx, o, client, out))
	case o.id != "":
		results, err := client.ResultsOf(ctx, o.id)
		if err != nil {
			return err
		}
		o.bar.Close()
		return newResultPrinter(o, out).page(results)
	case o.since > 0:
		chain := storefront.ChainFrom(o.since)
		err := eachPage(ctx, o, client, &chain, newResultPrinter(o, out).page)
		return keepEvidence(outbox, errors.Join(err, o.begins(chain, errOut)))
	}
	err = readResults(ctx, o, client, outbox, out)
	if err == nil {
		err = errors.Join(missing(outbox), checkLog(ctx, client))
	}
	return keepEvidence(outbox, err)
}

// begins says, after a reading since a serial, where the relay has nothing from there on, and which
// results are missing after that.
func (o resultsOptions) begins(chain storefront.Chain, errOut io.Writer) error {
	if chain.First > o.since {
		fmt.Fprintf(errOut, "storefront: the relay's results begin with %d: those before it are over 30 days old, or `vault results resend` publishes them again\n",
			chain.First)
	}
	return chain.MissingError()
}

func (o resultsOptions) check() error {
	for _, id := range []string{o.id, o.explain, o.prove} {
		if id != "" && !envelope.ValidID(id) {
			return fmt.Errorf("%w: --id, --explain and --prove take the UUID under which an envelope was posted", command.ErrUsage)
		}
	}
	given := 0
	for _, is := range []bool{o.since > 0, o.id != "", o.explain != "", o.compare != "", o.prove != "", o.checks} {
		if is {
			given++
		}
	}
	byCopy := o.prove != "" || o.checks
	switch {
	case given > 1:
		return fmt.Errorf("%w: give one of --since, --id, --explain, --compare, --prove and --check-log", command.ErrUsage)
	case byCopy && o.tiles == "":
		return fmt.Errorf("%w: --prove and --check-log need --tiles, a copy of the log: a directory, or an https address (http on loopback)", command.ErrUsage)
	case o.tiles != "" && !byCopy && o.compare == "":
		return fmt.Errorf("%w: --tiles goes with --prove, --check-log or --compare", command.ErrUsage)
	case o.out != "" && o.prove == "":
		return fmt.Errorf("%w: --out goes with --prove", command.ErrUsage)
	}
	return o.connectionOptions.check()
}

// readResults reads all new results, page by page: each is printed, then recorded.
func readResults(ctx context.Context, o resultsOptions, client *storefront.Client, outbox *storefront.Outbox, out io.Writer) error {
	chain, err := outbox.Chain()
	if err != nil {
		return err
	}
	printer := newResultPrinter(o, out)
	return eachPage(ctx, o, client, &chain, func(page []storefront.Opened) error {
		if err := printer.page(page); err != nil {
			return fmt.Errorf("%w: the results that were not printed are read again the next time", err)
		}
		if len(page) == 0 {
			return nil
		}
		// A crash before this reads and prints the page again; nothing is lost.
		_, err := outbox.Record(page, chain)
		return err
	})
}

// eachPage reads results after a chain, which moves, and calls fn with each page: with an empty one
// where there is none at all.
func eachPage(ctx context.Context, o resultsOptions, client *storefront.Client, chain *storefront.Chain, fn func([]storefront.Opened) error) error {
	for wait, first := o.wait, true; ; wait, first = 0, false {
		page, err := client.Results(ctx, chain, wait)
		if err != nil || len(page) == 0 && !first {
			return err
		}
		if err := o.bar.Aside(func() error { return fn(page) }); err != nil || len(page) == 0 {
			return err
		}
		o.bar.Add(int64(len(page)), 0)
	}
}

// missing names the results that did not come.
func missing(outbox *storefront.Outbox) error {
	chain, err := outbox.Chain()
	if err != nil {
		return err
	}
	return chain.MissingError()
}

// checkLog holds the relay's newest checkpoint against what was seen. One that the relay does not
// have, or does not give now, proves nothing.
func checkLog(ctx context.Context, client *storefront.Client) error {
	_, err := client.Checkpoint(ctx)
	if _, refused := errors.AsType[*storefront.Refused](err); refused {
		return nil
	}
	return err
}

// keepEvidence stores both sides of a contradiction and says where.
func keepEvidence(outbox *storefront.Outbox, err error) error {
	wrong, ok := errors.AsType[*proof.Contradiction](err)
	if !ok {
		return err
	}
	path, keepErr := outbox.KeepEvidence(wrong)
	if keepErr != nil {
		return errors.Join(err, keepErr)
	}
	return fmt.Errorf("%w (both statements are kept: %s)", err, path)
}

// line is one result in --json.
type line struct {
	Serial  uint64         `json:"serial"`
	Created envelope.Time  `json:"created"`
	ID      string         `json:"id"`
	Digest  string         `json:"digest"`
	Facts   envelope.Facts `json:"facts"`
	Index   uint64         `json:"index"`
	// size of the checkpoint by which the log holds it; absent without a proof
	Proved int64 `json:"proved,omitempty"`
}

// resultPrinter prints results page by page.
type resultPrinter struct {
	out    io.Writer
	asJSON bool
}

func newResultPrinter(o resultsOptions, out io.Writer) *resultPrinter {
	return &resultPrinter{out: out, asJSON: o.asJSON}
}

// page prints a page. When it returns nil the page is where it was to go; a file is on the disk.
func (p *resultPrinter) page(results []storefront.Opened) error {
	print := p.table
	if p.asJSON {
		print = p.lines
	}
	if err := print(results); err != nil {
		return err
	}
	if output, ok := p.out.(*text.Output); ok {
		return output.Delivered()
	}
	return nil
}

func (p *resultPrinter) lines(results []storefront.Opened) error {
	encoder := json.NewEncoder(p.out)
	for _, r := range results {
		if err := encoder.Encode(line{r.Result.Serial, r.Result.Created, r.Result.ID, r.Result.Digest, r.Facts, r.Place.Index, r.Checkpoint.Size}); err != nil {
			return err
		}
	}
	return nil
}

func (p *resultPrinter) table(results []storefront.Opened) error {
	return command.Table(p.out, func(table io.Writer) {
		command.Row(table, "SERIAL", "PAYMENT", "STATUS", "CODE", "AMOUNT", "ACCOUNT", "APPROVAL", "BATCH", "TOKEN", "ID", "REFERENCE")
		for _, r := range results {
			f, own := r.Facts, r.Result.ID
			if own == f.Payment {
				own = "" // a refund, capture or void has an id of its own
			}
			command.Row(table, r.Result.Serial, f.Payment, f.Status, f.Code, envelope.FormatAmount(f.Amount, f.Currency), f.Masked, f.Approval,
				f.Batch, f.Token, own, f.Reference)
		}
	})
}
