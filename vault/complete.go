package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

const (
	// completeTimeout bounds what a shell waits for the daemon when somebody presses the tab key.
	completeTimeout = time.Second
	// maxCompleted is the most payments that a shell is given to choose from.
	maxCompleted = 200
)

// lister asks the daemon for what a word that begins with prefix may go on to: the values, each
// with a description after a tab.
type lister func(ctx context.Context, client *control.Client, prefix string) ([]string, error)

// completeArguments has the commands' first arguments, and completeFlags the values of flags: what
// a shell is given when somebody presses the tab key.
var (
	completeArguments = map[string]lister{
		"vault merchant show": merchantNames, "vault merchant suspend": merchantNames, "vault merchant resume": merchantNames,
		"vault merchant policy": merchantNames, "vault merchant update": merchantNames, "vault results resend": merchantNames,
		"vault batch show": batchNames, "vault batch settle": batchNames, "vault batch adjust": batchNames, "vault batch compare": batchNames,
		"vault batch report": batchNames,
		"vault payment show": paymentsOf(""), "vault payment resolve": paymentsOf(""), "vault payment resend": paymentsOf(book.StageManual),
		"vault audit auditor remove": auditorNames,
		"vault findings show":        findingsThat(false), "vault findings acknowledge": findingsThat(true),
	}
	completeFlags = map[string]lister{
		"merchant": merchantNames, "payment": paymentsOf(""), "batch": batchNames, "auditor": auditorNames,
		"method": fixed(book.Methods[:]...), "status": fixed(book.Stages[:]...), "as": fixed(resolutions...), "kind": fixed(slices.Sorted(maps.Keys(meanings))...),
		"storage": fixed("on", "off"), "payees": fixed(book.PayeesBusiness, book.PayeesConsumer), "currency": fixed(envelope.Currencies()...),
	}
)

// completeAll has cmd and every command below it completed.
func (g *global) completeAll(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		g.completeAll(below)
	}
	if list := completeArguments[cmd.CommandPath()]; list != nil {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return g.complete(list)(cmd, args, prefix)
		}
	}
	for name, list := range completeFlags {
		if cmd.LocalNonPersistentFlags().Lookup(name) != nil {
			// it fails for a flag that is not there
			_ = cmd.RegisterFlagCompletionFunc(name, g.complete(list))
		}
	}
}

// complete is silent where there is no vault, no daemon, or one that is locked.
func (g *global) complete(list lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		client, err := g.client()
		if err != nil {
			client = control.NewClient("", "") // which answers nothing: fixed values need none
		}
		values, err := list(ctx, client, prefix)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		if len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !strings.HasSuffix(v, "/") }) {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return beginning(values, prefix), directive
	}
}

func beginning(values []string, prefix string) []string {
	return slices.DeleteFunc(values, func(v string) bool { return !strings.HasPrefix(v, prefix) })
}

func fixed[T ~string](values ...T) lister {
	return func(context.Context, *control.Client, string) ([]string, error) {
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = string(v)
		}
		return texts, nil
	}
}

func merchantNames(ctx context.Context, client *control.Client, _ string) ([]string, error) {
	merchants, err := client.Merchants(ctx)
	var names []string
	for _, m := range merchants {
		names = append(names, cobra.CompletionWithDesc(m.ID, m.Name))
	}
	return names, err
}

func batchNames(ctx context.Context, client *control.Client, _ string) ([]string, error) {
	batches, err := client.Batches(ctx, control.BatchQuery{})
	var names []string
	for _, b := range batches {
		names = append(names, cobra.CompletionWithDesc(b.ID, fmt.Sprintf("%s, %s", b.Merchant, b.Status)))
	}
	return names, err
}

func auditorNames(ctx context.Context, client *control.Client, _ string) ([]string, error) {
	auditors, err := client.Auditors(ctx)
	var names []string
	for _, a := range auditors {
		if a.Removed == nil {
			names = append(names, cobra.CompletionWithDesc(a.Name, a.KeyName))
		}
	}
	return names, err
}

// findingsThat lists the newest findings, or those of them that nobody has acknowledged.
func findingsThat(open bool) lister {
	return func(ctx context.Context, client *control.Client, _ string) ([]string, error) {
		findings, err := client.Findings(ctx, control.FindingQuery{Open: open, Limit: control.MaxPage})
		var numbers []string
		for _, f := range findings {
			numbers = append(numbers, cobra.CompletionWithDesc(strconv.FormatUint(f.Number, 10), string(f.Kind)))
		}
		return numbers, err
	}
}

// paymentsOf lists payments at stage, or all, as MERCHANT/ID: until the slash is typed only the
// merchants, and then the first [maxCompleted] of the merchant's that fit and come within
// [completeTimeout].
func paymentsOf(stage book.Stage) lister {
	return func(ctx context.Context, client *control.Client, prefix string) ([]string, error) {
		merchant, _, named := strings.Cut(prefix, "/")
		if !named {
			merchants, err := client.Merchants(ctx)
			var names []string
			for _, m := range merchants {
				names = append(names, m.ID+"/")
			}
			return names, err
		}
		var names []string
		query := control.PaymentQuery{Merchant: merchant, Status: stage, Limit: control.MaxPage}
		for {
			page, err := client.Payments(ctx, query)
			for _, p := range page.Payments {
				if strings.HasPrefix(p.Name, prefix) {
					names = append(names, cobra.CompletionWithDesc(p.Name, fmt.Sprintf("%s, %s, %s", p.Operation, p.Status, amount(p))))
				}
			}
			if err != nil && len(names) == 0 {
				return nil, err
			}
			if err != nil || !page.More || len(names) >= maxCompleted {
				return names[:min(len(names), maxCompleted)], nil
			}
			query = query.Next(page)
		}
	}
}
