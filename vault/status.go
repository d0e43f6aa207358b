package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/text"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

func newStatusCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show what the vault is doing",
		Long:    "Show what the vault is doing. A locked vault answers too (exit code 0): its status is what is asked for.",
		Example: "  vault status --dir /var/lib/nightdrop --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(g, c, func(client *control.Client) (control.Status, error) {
				return client.Status(cmd.Context())
			}, printStatus)
		},
	}
	g.readingFlags(cmd)
	return cmd
}

func printStatus(w io.Writer, s control.Status) {
	command.Row(w, "vault", s.Vault)
	command.Row(w, "verifier", s.Verifier)
	command.Row(w, "version", s.Version)
	command.Row(w, "started", moment(s.Started))
	for _, note := range s.Certificates {
		command.Row(w, "certificate", note)
	}
	for _, note := range s.Remains {
		command.Row(w, "a destroyed key may remain", note)
	}
	printDisks(w, s)
	if s.Locked {
		command.Row(w, "state", "locked")
		if r := s.Rebuilding; r != nil {
			command.Row(w, "rebuilding the ledger", fmt.Sprintf("%d of %d entries of its log; the unlock goes on after it", r.Done, r.Total))
			return
		}
		command.Row(w, "unlock with", fmt.Sprintf("%d of %d shares", s.Threshold, s.Shares))
		return
	}
	command.Row(w, "state", "unlocked")
	command.Row(w, "clock", s.Clock)
	command.Row(w, "channel", s.Channel)
	command.Row(w, "acquirer", s.Acquirer)
	command.Row(w, "journal", s.Journal)
	printJournals(w, s.Journals)
	printStreams(w, s)
	command.Row(w, "merchants", s.Merchants)
	command.Row(w, "log entries", s.LogSize)
	for _, stage := range book.Working {
		command.Row(w, "payments "+string(stage), s.Working[stage])
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Repeating)) {
		command.Row(w, "repeating "+kind, fmt.Sprintf("%d since %s", s.Repeating[kind].Payments, moment(s.Repeating[kind].Oldest)))
	}
	for _, method := range book.Methods {
		command.Row(w, "open "+string(method)+" batches", s.Open[method])
	}
	if s.Outbox != nil {
		command.Row(w, "files for the bank", *s.Outbox)
	}
	if n := s.Working[book.StageManual]; n > 0 {
		command.Row(w, "a person must decide", fmt.Sprintf("%d payments: vault payment list --status manual; vault payment resend --all has them sent again", n))
	}
	if s.OpenFindings > 0 {
		command.Row(w, "findings not acknowledged", fmt.Sprintf("%d: vault findings list", s.OpenFindings))
	}
	for _, finding := range slices.Sorted(maps.Keys(s.Findings)) {
		command.Row(w, "finding "+string(finding), s.Findings[finding])
	}
}

// printDisks prints how much room there is, and what waits for more.
func printDisks(w io.Writer, s control.Status) {
	for _, d := range s.Disks {
		command.Row(w, "disk of the "+d.Place, fmt.Sprintf("%s of %s free, reserve %s", text.Size(d.Free), text.Size(d.Size), text.Size(d.Reserve)))
		if d.Note != "" {
			command.Row(w, "disk of the "+d.Place, d.Note)
		}
	}
}

// printJournals prints what each place of the journal holds.
func printJournals(w io.Writer, places []control.JournalPlace) {
	for _, p := range places {
		text := fmt.Sprintf("%d entries, %d %% full", p.Entries, p.Percent)
		if p.First > 0 {
			text += fmt.Sprintf("; entries before %d went when it was full", p.First)
		}
		if p.Read < p.Entries {
			text += fmt.Sprintf("; read up to %d since the unlock", p.Read)
		}
		if p.Problem != "" {
			text += "; " + p.Problem
		}
		command.Row(w, "journal in the "+p.Place, text)
	}
}

// printStreams prints how full the channel is, and who has more of it than its share.
func printStreams(w io.Writer, s control.Status) {
	for _, stream := range s.Streams {
		if stream.MaxBytes > 0 {
			since := ""
			if stream.Since != "" {
				since = ", since " + stream.Since
			}
			command.Row(w, "stream "+stream.Name, fmt.Sprintf("%d %% of %s%s", stream.Bytes/(stream.MaxBytes/100+1), text.Size(stream.MaxBytes), since))
		}
		for _, note := range stream.Notes {
			command.Row(w, "stream "+stream.Name, note)
		}
	}
	if s.ResultShares == nil {
		return
	}
	for _, m := range s.ResultShares.Over {
		command.Row(w, "over its share of RESULTS", fmt.Sprintf("%s: %d results, of %d for each merchant", m.Merchant, m.Results, s.ResultShares.Results))
	}
	for _, m := range s.ResultShares.Purged {
		command.Row(w, "purged from RESULTS", fmt.Sprintf("%s: %d of its oldest results; vault results resend %s", m.Merchant, m.Results, m.Merchant))
	}
}
