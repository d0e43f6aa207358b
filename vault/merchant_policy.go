package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

type merchantPolicyOptions struct {
	limits, payouts        []string
	refundPercent          int
	storage                string
	storesPerDay           int
	companyID, companyName string
	payees                 string
}

func newMerchantPolicyCommand(g *global, c console) *cobra.Command {
	var opts merchantPolicyOptions
	cmd := &cobra.Command{
		Use:   "policy ID [--limit CUR=PAYMENT[/DAY]] [--payouts CUR=DAY] ...",
		Short: "Show a merchant's policy, or change parts of it",
		Long: `Show what a merchant may do beyond selling, and how much; with flags, change that and keep the rest. Amounts are minor units (1250 is 12.50
EUR); 0 takes a limit away. Payouts are forbidden until they have a daily limit, storing accounts until it is on, and bank accounts until the
merchant has a company. Changes count for envelopes that are taken from then on.`,
		Example: `  vault merchant policy shop-1
  vault merchant policy shop-1 --limit USD=500000/5000000 --refund-percent 100 --reason "contract 17"
  vault merchant policy shop-1 --company-id 1234567890 --company-name "CORNER SHOP" --payouts USD=1000000 --payees consumer`,
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, changes, err := opts.change(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			m, err := runMerchantPolicy(cmd.Context(), client, args[0], change, changes)
			if err != nil {
				return err
			}
			return g.print(c.out, m.Policy, func(w io.Writer) { printPolicy(w, m) })
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&opts.limits, "limit", nil, "most that one payment and a day's sales may be: CUR=PAYMENT[/DAY], minor units; may be repeated")
	flags.StringArrayVar(&opts.payouts, "payouts", nil, "most that is paid out on a day: CUR=DAY, minor units; 0 forbids payouts; may be repeated")
	flags.IntVar(&opts.refundPercent, "refund-percent", 0, "refunds of this and the last month may be so much of their sales, 1 to 1000; 0: no limit")
	flags.StringVar(&opts.storage, "storage", "", "on or off: whether accounts may be stored")
	flags.IntVar(&opts.storesPerDay, "stores-per-day", 0, fmt.Sprintf("accounts stored on a day at most; 0: %d", book.DefaultStoresPerDay))
	flags.StringVar(&opts.companyID, "company-id", "", "10 of 0-9A-Z that the bank assigned: names the merchant in bank files")
	flags.StringVar(&opts.companyName, "company-name", "", "1 to 16 characters that payers see on their statements")
	flags.StringVar(&opts.payees, "payees", "", "whom payouts go to: business or consumer")
	g.actingFlags(cmd)
	return cmd
}

func runMerchantPolicy(ctx context.Context, client *control.Client, id string, change control.PolicyChange, changes bool) (control.Merchant, error) {
	if changes {
		return client.SetPolicy(ctx, id, change)
	}
	return client.Merchant(ctx, id)
}

// change is what the flags that were given say; changes is false where none was.
func (o *merchantPolicyOptions) change(given func(flag string) bool) (change control.PolicyChange, changes bool, err error) {
	for _, text := range o.limits {
		limit, err := parseLimit(text)
		if err != nil {
			return change, true, err
		}
		change.Limits = append(change.Limits, limit)
	}
	for _, text := range o.payouts {
		limit, err := parsePayouts(text)
		if err != nil {
			return change, true, err
		}
		change.Limits = append(change.Limits, limit)
	}
	changes = len(change.Limits) > 0
	take := func(flag string, set func()) {
		if given(flag) {
			changes = true
			set()
		}
	}
	take("refund-percent", func() { change.RefundPercent = &o.refundPercent })
	take("stores-per-day", func() { change.StoresPerDay = &o.storesPerDay })
	take("company-id", func() { change.CompanyID = &o.companyID })
	take("company-name", func() { change.CompanyName = &o.companyName })
	take("payees", func() { payees := book.Payees(o.payees); change.Payees = &payees })
	take("storage", func() { on := o.storage == "on"; change.Storage = &on })
	if given("storage") && o.storage != "on" && o.storage != "off" {
		return change, true, fmt.Errorf("%w: --storage is on or off", command.ErrUsage)
	}
	return change, changes, nil
}

// parseLimit reads CUR=PAYMENT[/DAY].
func parseLimit(text string) (control.LimitChange, error) {
	currency, amounts, ok := strings.Cut(text, "=")
	first, second, both := strings.Cut(amounts, "/")
	most, err := minorUnits(first)
	c := control.LimitChange{Currency: currency, Payment: &most}
	if ok && err == nil && both {
		var day int64
		day, err = minorUnits(second)
		c.Day = &day
	}
	if !ok || err != nil {
		return c, fmt.Errorf("%w: --limit is CUR=PAYMENT or CUR=PAYMENT/DAY in minor units, such as USD=500000/5000000", command.ErrUsage)
	}
	return c, nil
}

// parsePayouts reads CUR=DAY.
func parsePayouts(text string) (control.LimitChange, error) {
	currency, amount, ok := strings.Cut(text, "=")
	day, err := minorUnits(amount)
	if !ok || err != nil {
		return control.LimitChange{}, fmt.Errorf("%w: --payouts is CUR=DAY in minor units, such as USD=1000000", command.ErrUsage)
	}
	return control.LimitChange{Currency: currency, PayoutDay: &day}, nil
}

func minorUnits(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 53)
	return int64(n), err
}

func printPolicy(w io.Writer, m control.Merchant) {
	p := m.Policy
	command.Row(w, "merchant", m.ID)
	for _, l := range p.Limits {
		command.Row(w, "limits in "+l.Currency, fmt.Sprintf("payment %s, day %s, payouts a day %s", limit(l.Payment, l.Currency, "unlimited"),
			limit(l.Day, l.Currency, "unlimited"), limit(l.PayoutDay, l.Currency, "forbidden")))
	}
	if len(p.Limits) == 0 {
		command.Row(w, "limits", "none; payouts are forbidden")
	}
	if p.RefundPercent == 0 {
		command.Row(w, "refunds", "unlimited")
	} else {
		command.Row(w, "refunds", fmt.Sprintf("at most %d %% of sales, this and the last month", p.RefundPercent))
	}
	switch {
	case !p.Storage:
		command.Row(w, "stored accounts", "off")
	case p.StoresPerDay == 0:
		command.Row(w, "stored accounts", fmt.Sprintf("on, %d a day", book.DefaultStoresPerDay))
	default:
		command.Row(w, "stored accounts", fmt.Sprintf("on, %d a day", p.StoresPerDay))
	}
	if p.Company.ID == "" {
		command.Row(w, "company", "none; bank accounts are not permitted")
		return
	}
	command.Row(w, "company", p.Company.Name+" ("+p.Company.ID+")")
	payees := p.Payees
	if payees == "" {
		payees = book.PayeesBusiness
	}
	command.Row(w, "payees", payees)
}

func limit(amount int64, currency, none string) string {
	if amount == 0 {
		return none
	}
	return envelope.FormatAmount(amount, currency)
}
