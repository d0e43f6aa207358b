package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"nightdrop/shared/channel"
	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

type keygenOptions struct {
	name string
	nkey bool
	out  string
}

func newKeygenCommand() *cobra.Command {
	var opts keygenOptions
	cmd := &cobra.Command{
		Use:   "keygen (--name NAME | --nkey) --out FILE",
		Short: "Make the relay's signing key, or a channel key",
		Long: `Make a key in a new file of mode 0600, never overwriting one, and print its public line.

With --name: the key that signs receipts and bags. The line that is printed goes into the vault's configuration (relays).
With --nkey: a key for an external channel, or for a courier or monitor of the embedded one. The line that is printed goes
into the channel's configuration.`,
		Example: "  relay keygen --name relay-one --out relay.key\n  relay keygen --nkey --out courier.nkey",
		Args:    command.NoArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runKeygen(opts, cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.name, "name", "", "the relay's name: 3 to 32 of a-z, 0-9 and -; never used again for another")
	flags.BoolVar(&opts.nkey, "nkey", false, "make a channel key instead")
	flags.StringVar(&opts.out, "out", "", "new file for the secret half")
	return cmd
}

func runKeygen(opts keygenOptions, out io.Writer) error {
	if opts.out == "" || opts.nkey == (opts.name != "") {
		return fmt.Errorf("%w: give --out, and either --name or --nkey", command.ErrUsage)
	}
	secret, public, err := opts.generate()
	if err != nil {
		return err
	}
	defer clear(secret)
	switch err := durable.Create(opts.out, secret); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("a key is never overwritten: %w", err)
	case err != nil:
		return fmt.Errorf("write key: %w", err)
	}
	_, err = fmt.Fprintln(out, public)
	return err
}

func (o keygenOptions) generate() (secret []byte, public string, err error) {
	if o.nkey {
		return channel.GenerateNkey()
	}
	if !envelope.ValidMerchant(o.name) {
		return nil, "", fmt.Errorf("%w: --name %q is not 3 to 32 of a-z, 0-9 and -, beginning with a letter and not ending in -", command.ErrUsage, o.name)
	}
	signer, err := note.GenerateSigner(o.name)
	if err != nil {
		return nil, "", err
	}
	return append(signer.Encode(), '\n'), signer.Verifier().String(), nil
}
