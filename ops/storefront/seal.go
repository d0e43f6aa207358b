package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
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
		Use:   "seal --vault VKEY --relay URL --amount N --currency CODE --reference TEXT --account FILE",
		Short: "Seal and sign one card sale, without posting it",
		Long: "Seal and sign one card sale, without posting it. The account and the security code are read from files or standard input\n" +
			"(-), never from arguments: {\"card\":{\"number\":\"...\",\"expiry\":\"2029-12\"}} and {\"code\":\"123\"}.",
		Example: "  storefront seal --vault @vault.vkey --relay https://relay.example --amount 1999 --currency EUR \\\n" +
			"      --reference order-17 --account card.json --out order-17.note",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSeal(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.id, "id", "", "envelope id, a UUID of version 4 or 7 (default: a fresh one)")
	flags.Int64Var(&o.order.Amount, "amount", 0, "amount in minor units (cents), 1 to 99999999")
	flags.StringVar(&o.order.Currency, "currency", "", "ISO 4217 code")
	flags.StringVar(&o.order.Reference, "reference", "", "the shop's own reference, 1 to 64 printable ASCII")
	flags.StringVar(&o.order.Descriptor, "descriptor", "", "text on the cardholder's statement, up to 22 printable ASCII")
	flags.StringVar(&o.account, "account", "-", "file with the account's JSON, - for standard input")
	flags.StringVar(&o.code, "code", "", "file with the security code's JSON")
	flags.StringVar(&o.out, "out", "-", "new file for the envelope, - for standard output")
	return cmd
}

// checkOrder makes the order a sale and refuses what the vault would, before anything is read or sealed.
func (o *sealOptions) checkOrder() error {
	o.order.Operation = envelope.OpSale
	if o.id != "" && !envelope.ValidID(o.id) {
		return errors.New("--id is not a UUID of version 4 or 7 in lower case")
	}
	if o.order.Amount < 1 || o.order.Amount > envelope.MaxAmount {
		return fmt.Errorf("--amount is from 1 to %d, in minor units", envelope.MaxAmount)
	}
	if _, ok := envelope.LookupCurrency(o.order.Currency); !ok {
		return errors.New("--currency is an active ISO 4217 code, such as EUR")
	}
	if o.order.Descriptor != "" {
		if err := envelope.CheckDescriptor(o.order.Descriptor); err != nil {
			return fmt.Errorf("--descriptor: %w", err)
		}
	}
	if err := envelope.CheckReference(o.order.Reference); err != nil {
		return fmt.Errorf("--reference: %w", err)
	}
	return nil
}

func runSeal(ctx context.Context, o sealOptions, in io.Reader, out io.Writer) error {
	if err := o.checkOrder(); err != nil {
		return fmt.Errorf("%w: %w (see --help)", errUsage, err)
	}
	client, err := o.connect()
	if err != nil {
		return err
	}
	account, err := readSecret(o.account, in)
	if err != nil {
		return fmt.Errorf("--account: %w", err)
	}
	defer clear(account)
	var code []byte
	if o.code != "" {
		if code, err = readSecret(o.code, in); err != nil {
			return fmt.Errorf("--code: %w", err)
		}
		defer clear(code)
	}
	sealed, err := client.Seal(ctx, storefront.Payment{ID: o.id, Order: o.order, Account: account, Code: code})
	if err != nil {
		return err
	}
	if o.out == "-" {
		_, err = out.Write(sealed.Note)
		return err
	}
	if err := writeNew(o.out, sealed.Note); err != nil {
		return fmt.Errorf("--out: %w (an envelope that may have been posted is not overwritten)", err)
	}
	_, err = fmt.Fprintf(out, "sealed %s digest %s\n", sealed.ID, sealed.Digest)
	return err
}

// writeNew makes a file that was not there, for its owner alone.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// readSecret reads the JSON of an account or a code, from a file or standard input. Its errors quote nothing of it.
func readSecret(path string, in io.Reader) ([]byte, error) {
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
	return bytes.TrimSpace(data[:n]), nil
}
