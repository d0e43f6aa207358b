package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/text"
)

type sealOptions struct {
	connectionOptions
	id      string
	order   envelope.Order
	account string // file or -
	code    string // file
	out     string
}

func newSealCommand() *cobra.Command {
	var o sealOptions
	cmd := &cobra.Command{
		Use:   "seal --vault VKEY --relay URL --operation NAME --reference TEXT ...",
		Short: "Seal and sign one instruction, without posting it",
		Long: "Seal and sign one instruction, without posting it. What each operation takes beside --reference:\n\n" + demandsHelp() +
			"\nThe account and the security code are read from files or standard input (-), never from arguments:\n" +
			"  {\"card\":{\"number\":\"...\",\"expiry\":\"2029-12\",\"name\":\"...\"}}  the name is optional\n" +
			"  {\"bank\":{\"routing\":\"...\",\"account\":\"...\",\"type\":\"checking\",\"name\":\"...\"}}  or savings\n" +
			"  {\"card\":{\"expiry\":\"2031-01\"}}  of an update of a card; of a bank account it takes a whole bank\n" +
			"  {\"code\":\"123\"}",
		Example: "  storefront seal --vault @vault.vkey --relay https://relay.example --amount 1999 --currency EUR \\\n" +
			"      --reference order-17 --account card.json --out order-17.note\n" +
			"  storefront seal --vault @vault.vkey --relay https://relay.example --operation capture --of 0190a1b2-... \\\n" +
			"      --amount 1500 --reference order-17-part --out order-17-capture.note",
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSeal(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.id, "id", "", "envelope id, a UUID of version 4 or 7 (default: a fresh one)")
	flags.StringVar((*string)(&o.order.Operation), "operation", string(envelope.OpSale), "what to do: "+joined(operations()))
	flags.Int64Var(&o.order.Amount, "amount", 0, "amount in minor units (cents), 1 to 99999999")
	flags.StringVar(&o.order.Currency, "currency", "", "ISO 4217 code")
	flags.StringVar(&o.order.Reference, "reference", "", "the shop's own reference, 1 to 64 printable ASCII")
	flags.StringVar(&o.order.Of, "of", "", "id of the payment that is captured, voided or refunded")
	flags.StringVar(&o.order.Token, "token", "", "token of a stored account")
	flags.StringVar(&o.order.Descriptor, "descriptor", "", "text on the cardholder's statement, up to 22 printable ASCII")
	flags.StringVar(&o.account, "account", "", "file with the account's JSON, - for standard input, which is the default where nothing but an account will do; of a refund only where the acquirer needs the number again")
	flags.StringVar(&o.code, "code", "", "file with the security code's JSON")
	flags.StringVar(&o.out, "out", "-", "new file for the envelope, - for standard output")
	command.Values(cmd, "operation", operations()...)
	command.Values(cmd, "currency", envelope.Currencies()...)
	return cmd
}

// demandsHelp is the table of operations as flags.
func demandsHelp() string {
	var help strings.Builder
	flags := func(names []string) []string {
		all := make([]string, len(names))
		for i, name := range names {
			all[i] = "--" + name
		}
		return all
	}
	for _, op := range operations() {
		d, _ := demandsOf(op)
		words := flags(d.needs)
		if len(d.either) > 0 {
			words = append(words, strings.Join(flags(d.either), "|"))
		}
		for _, name := range flags(d.may) {
			words = append(words, "["+name+"]")
		}
		fmt.Fprintf(&help, "  %-9s  %s\n", op, strings.Join(words, " "))
	}
	return help.String()
}

// checkOrder refuses what the vault would, before anything is read or sealed, and settles where the
// account comes from.
func (o *sealOptions) checkOrder() error {
	if o.id != "" && !envelope.ValidID(o.id) {
		return errors.New("--id is not a UUID of version 4 or 7 in lower case")
	}
	if d, ok := demandsOf(o.order.Operation); ok && o.account == "" {
		if slices.Contains(d.needs, "account") || len(d.either) > 0 && o.order.Token == "" {
			o.account = "-"
		}
	}
	return instruction{o.order, o.account != "", o.code != ""}.check("--")
}

func runSeal(ctx context.Context, o sealOptions, in io.Reader, out io.Writer) error {
	if err := o.checkOrder(); err != nil {
		return fmt.Errorf("%w: %w (see --help)", command.ErrUsage, err)
	}
	client, err := o.connect()
	if err != nil {
		return err
	}
	payment := storefront.Payment{ID: o.id, Order: o.order}
	if payment.Account, err = readSecret(o.account, in); err != nil {
		return fmt.Errorf("--account: %w", err)
	}
	defer clear(payment.Account)
	if payment.Code, err = readSecret(o.code, in); err != nil {
		return fmt.Errorf("--code: %w", err)
	}
	defer clear(payment.Code)
	sealed, err := client.Seal(ctx, payment)
	if err != nil {
		return err
	}
	if o.out == "-" {
		_, err = out.Write(sealed.Note)
		return err
	}
	if err := durable.Create(o.out, sealed.Note); err != nil {
		return fmt.Errorf("--out: %w (an envelope that may have been posted is not overwritten)", err)
	}
	_, err = fmt.Fprintf(out, "sealed %s digest %s\n", sealed.ID, sealed.Digest)
	return err
}

// readSecret reads the JSON of an account or a code, from a file or standard input; no path is
// none. Its errors quote nothing of it.
func readSecret(path string, in io.Reader) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data := make([]byte, envelope.MaxPadded+1)
	n, err := io.ReadFull(in, data)
	if err == nil {
		clear(data)
		return nil, fmt.Errorf("longer than %d bytes", envelope.MaxPadded)
	}
	if n == 0 {
		return nil, errors.New("empty: give a file, or JSON on standard input")
	}
	clean, err := text.Clean(data[:n])
	if err != nil {
		clear(data)
		return nil, err
	}
	return bytes.TrimSpace(clean), nil
}
