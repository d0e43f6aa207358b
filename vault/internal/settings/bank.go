package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/settle"
)

// Bank names who sends bank files to whom. Without an outbox there are no bank accounts.
type Bank struct {
	Outbox               string   `toml:"outbox"`
	ImmediateDestination string   `toml:"immediate_destination"`
	DestinationName      string   `toml:"destination_name"`
	ImmediateOrigin      string   `toml:"immediate_origin"`
	OriginName           string   `toml:"origin_name"`
	ODFI                 string   `toml:"odfi"`
	AnswersFrom          []string `toml:"answers_from"`
	AnswersTo            []string `toml:"answers_to"`
	Cutoff               string   `toml:"cutoff"`
	Zone                 string   `toml:"zone"`
	LeadDays             int      `toml:"lead_days"`
}

// Enabled reports whether there is a bank.
func (b Bank) Enabled() bool { return b.Outbox != "" }

func (b Bank) sender() nacha.Bank {
	return nacha.Bank{ImmediateDestination: b.ImmediateDestination, DestinationName: b.DestinationName, ImmediateOrigin: b.ImmediateOrigin,
		OriginName: b.OriginName, ODFI: b.ODFI}
}

// check calls wrong for each bad key.
func (b Bank) check(wrong func(key, what string)) {
	if !b.Enabled() {
		if b.sender() != (nacha.Bank{}) {
			wrong("bank.outbox", "set it too, or leave all of [bank] empty for a vault without bank accounts")
		}
		return
	}
	if err := b.sender().Check(); err != nil {
		wrong("bank", err.Error())
	}
	for key, numbers := range map[string][]string{"bank.answers_from": b.AnswersFrom, "bank.answers_to": b.AnswersTo} {
		if slices.ContainsFunc(numbers, func(n string) bool { return n != strings.TrimSpace(n) || len(n) < 1 || len(n) > 10 }) {
			wrong(key, "want numbers as they stand in the bank's file headers: 1 to 10 characters each, without spaces around them")
		}
	}
	if calendar, err := b.calendar(); err != nil {
		wrong("bank", err.Error())
	} else if err := calendar.Check(); err != nil {
		wrong("bank", err.Error())
	}
	if err := b.checkOutbox(); err != nil {
		wrong("bank.outbox", err.Error())
	}
}

// checkOutbox checks the outbox's mode: its files hold account numbers in clear, as the bank needs
// them.
func (b Bank) checkOutbox() error {
	info, err := os.Stat(b.Outbox)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: make it, with mode 0700, or 0750 for the group that takes files to the bank", b.Outbox)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", b.Outbox)
	case info.Mode().Perm()&0o027 != 0:
		return fmt.Errorf("%s has mode %#o: files in it hold account numbers, make it 0700, or 0750 for the group that takes them to the bank", b.Outbox, info.Mode().Perm())
	}
	return nil
}

func (b Bank) calendar() (nacha.Calendar, error) {
	zone, err := time.LoadLocation(b.Zone)
	if err != nil || b.Zone == "" {
		return nacha.Calendar{}, fmt.Errorf("zone %q is not known here: write it as America/New_York, and install the host's time zones (tzdata)", b.Zone)
	}
	cutoff, err := clockTime(b.Cutoff)
	if err != nil {
		return nacha.Calendar{}, fmt.Errorf("cutoff: %w", err)
	}
	return nacha.Calendar{Location: zone, Cutoff: cutoff, Lead: b.LeadDays}, nil
}

// Config is the engine's bank; nil where there is none.
func (b Bank) Config() (*settle.Bank, error) {
	if !b.Enabled() {
		return nil, nil
	}
	calendar, err := b.calendar()
	return &settle.Bank{Sender: b.sender(), Calendar: calendar, Outbox: b.Outbox, AnswersFrom: b.AnswersFrom, AnswersTo: b.AnswersTo}, err
}

// Waiting counts the settlement files that the bank has not fetched; nil without a bank.
func (b Bank) Waiting() (*int, error) {
	if !b.Enabled() {
		return nil, nil
	}
	entries, err := os.ReadDir(b.Outbox)
	if err != nil {
		return nil, fmt.Errorf("look into the bank's outbox: %w", err)
	}
	n := 0
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") && filepath.Ext(e.Name()) == ".ach" {
			n++
		}
	}
	return &n, nil
}

// Batches are the times at which batches close by themselves.
type Batches struct {
	CloseAt []string `toml:"close_at"`
}

func (b Batches) check(wrong func(key, what string)) {
	if _, err := b.Times(); err != nil {
		wrong("batches.close_at", err.Error())
	}
}

// Times are the times of day, since midnight UTC.
func (b Batches) Times() (times []time.Duration, err error) {
	for _, text := range b.CloseAt {
		at, err := clockTime(text)
		if err != nil {
			return nil, err
		}
		times = append(times, at)
	}
	return times, nil
}

// clockTime reads a time of day, "16:45".
func clockTime(text string) (time.Duration, error) {
	at, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%q is not a time of day: write it as \"16:45\"", text)
	}
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, nil
}
