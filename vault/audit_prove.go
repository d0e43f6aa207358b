package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/replay"
)

type proveOptions struct {
	replayOptions
	payment    string // MERCHANT/ID
	out, check string
}

func newAuditProveCommand(g *global, c console) *cobra.Command {
	var opts proveOptions
	cmd := &cobra.Command{
		Use:   "prove DIR --payment MERCHANT/ID --verifier VKEY --identity FILE | --check FILE --verifier VKEY",
		Short: "Print one payment's story from an exported log, with proofs",
		Long: `Print one payment's story from an exported log: every event about it, its captures, refunds and voids, its batches and their files, with who,
when and from where. The log is replayed up to its end, so what is printed is what the sums were done with. --out writes the same with a
proof of each entry into a file that a third party checks with --check, which needs no key.

What --check proves: the vault signed a log in which entries of these hashes stand at these places, and those with facts told a merchant
exactly these facts of this payment. Which merchant, and the events, are the word of the auditor who opened them: whoever has a log key of
that time finds the sealed entries by their hashes and can open them too.`,
		Example: `  vault audit prove /media/log --payment corner-cafe/b3e3d844-35e1-4676-a601-ba76ba37894d --verifier vault.example.com+1a2b... \
    --identity anna.key --from anna.state --out story.json
  vault audit prove --check story.json --verifier vault.example.com+1a2b...`,
		Args: command.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.check != "" && len(args) == 0 {
				return opts.runCheck(g, c)
			}
			if opts.check != "" || len(args) == 0 {
				return fmt.Errorf("%w: give the exported log's directory, or --check FILE without one", command.ErrUsage)
			}
			return opts.run(cmd, args[0], g, c)
		},
	}
	opts.flags(cmd)
	cmd.Flags().StringVar(&opts.payment, "payment", "", "MERCHANT/ID of the envelope of the sale, authorisation or payout")
	cmd.Flags().StringVar(&opts.out, "out", "", "new file for the story and its proofs")
	cmd.Flags().StringVar(&opts.check, "check", "", "check a story's file")
	g.readingFlags(cmd)
	return cmd
}

// run replays and prints the story.
func (o *proveOptions) run(cmd *cobra.Command, dir string, g *global, c console) error {
	name, err := control.ParsePaymentName(o.payment)
	if err != nil || !envelope.ValidMerchant(name.Merchant) || !envelope.ValidID(name.ID) {
		return fmt.Errorf("%w: --payment: %w", command.ErrUsage, control.ErrPaymentName)
	}
	if err := durable.Fresh(o.out); err != nil {
		return err
	}
	r, err := o.open(dir)
	if err != nil {
		return err
	}
	defer r.From.Close() //nolint:errcheck // a file without a name
	progress, done := bar(c.errOut, "replaying")
	r.Progress = func(done, total int64) { progress(int(done), int(total)) }
	story, _, err := replay.StoryOf(cmd.Context(), r, name.Merchant, name.ID)
	done()
	if err != nil {
		return err
	}
	if o.out != "" {
		text, err := story.Encode()
		if err != nil {
			return err
		}
		if err := durable.WriteNew(o.out, func(f *os.File) error { _, err := f.Write(text); return err }); err != nil {
			return err
		}
	}
	return o.print(g, c, story)
}

// runCheck checks a story's file and prints it.
func (o *proveOptions) runCheck(g *global, c console) error {
	vault, err := pinned(o.verifier, "the story")
	if err != nil {
		return err
	}
	data, err := readGiven(o.check)
	if err != nil {
		return err
	}
	story, checkpoint, err := replay.CheckStory(data, vault)
	if err != nil {
		return fmt.Errorf("%s: %w", o.check, err)
	}
	if o.payment != "" && o.payment != story.Merchant+"/"+story.Payment {
		return fmt.Errorf("%s is the story of %s/%s, not of %s: %w", o.check, story.Merchant, story.Payment, o.payment, replay.ErrStory)
	}
	if err := o.print(g, c, story); err != nil || g.json {
		return err
	}
	_, err = fmt.Fprintf(c.out, "\nproved: in the log of %d entries that %s signed, entries with these hashes stand at these places, and %d of them told a merchant these\n"+
		"facts of payment %s/%s\nthe auditor's word: who that merchant is, what the events say, and that entries without a result are about this payment\n",
		checkpoint.Size, checkpoint.Origin, story.Results(), story.Merchant, story.Payment)
	return err
}

func (o *proveOptions) print(g *global, c console, story *replay.Story) error {
	var text strings.Builder
	if err := story.Write(&text); err != nil {
		return err
	}
	return g.print(c.out, story, func(w io.Writer) {
		for line := range strings.Lines(text.String()) {
			command.Row(w, strings.TrimSuffix(line, "\n"))
		}
	})
}
