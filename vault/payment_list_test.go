package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/control"
)

// TestPaymentsAreFound: by each of what people know of a payment, newest first, in the vault of
// before, which has payments of every kind.
func TestPaymentsAreFound(t *testing.T) {
	s := layBefore(t)
	s.surround(strings.TrimSpace(string(readBefore(t, "../testdata/before/vault/channel.nkey.pub"))))
	defer s.serve()()
	find := func(args ...string) (found []control.Payment) {
		t.Helper()
		s.json(&found, append([]string{"payment", "list"}, args...)...)
		return found
	}
	all := find("--all", "--oldest-first")
	if len(all) != 38 || !slices.IsSortedFunc(all, func(a, b control.Payment) int { return int(a.Number) - int(b.Number) }) {
		t.Fatalf("%d payments, want 38, oldest first", len(all))
	}
	slices.Reverse(all)
	numbers := func(of []control.Payment) (list []uint64) {
		for _, p := range of {
			list = append(list, p.Number)
		}
		return list
	}
	searches := 0
	for _, p := range all {
		day := p.Received.Format(time.DateOnly)
		for flag, is := range map[string]struct {
			value string
			has   func(control.Payment) bool
		}{
			"--reference": {p.Reference, func(o control.Payment) bool { return o.Reference == p.Reference }},
			"--last-four": {p.Masked[max(0, len(p.Masked)-4):], func(o control.Payment) bool {
				return o.Masked != "" && o.Masked[len(o.Masked)-4:] == p.Masked[len(p.Masked)-4:]
			}},
			"--approval":  {p.Approval, func(o control.Payment) bool { return o.Approval == p.Approval }},
			"--operation": {string(p.Operation), func(o control.Payment) bool { return o.Operation == p.Operation }},
			"--status":    {string(p.Status), func(o control.Payment) bool { return o.Status == p.Status }},
			"--batch":     {p.Batch, func(o control.Payment) bool { return o.Batch == p.Batch }},
			"--merchant":  {p.Merchant, func(o control.Payment) bool { return o.Merchant == p.Merchant }},
			"--to":        {day, func(o control.Payment) bool { return o.Received.Format(time.DateOnly) <= day }},
			"--from":      {day, func(o control.Payment) bool { return o.Received.Format(time.DateOnly) >= day }},
			"--before":    {fmt.Sprint(p.Number), func(o control.Payment) bool { return o.Number < p.Number }},
			"--rrn":       {rrnOf(p), func(o control.Payment) bool { return rrnOf(o) == rrnOf(p) }},
			"--amount":    {amountOf(p), func(o control.Payment) bool { return amountOf(o) == amountOf(p) }},
		} {
			if is.value == "" || p.Number%5 != 0 { // some of each
				continue
			}
			searches++
			want := slices.DeleteFunc(slices.Clone(all), func(o control.Payment) bool { return !is.has(o) })
			if got := find(flag, is.value, "--all"); !slices.Equal(numbers(got), numbers(want)) {
				t.Errorf("%s %q finds %v, want %v", flag, is.value, numbers(got), numbers(want))
			}
		}
	}
	if searches < 40 {
		t.Errorf("%d searches only", searches)
	}
	page := find("--limit", "3")
	if next := find("--limit", "3", "--before", fmt.Sprint(page[2].Number)); !slices.Equal(numbers(append(page, next...)), numbers(all[:6])) {
		t.Errorf("two pages are %v and %v", numbers(page), numbers(next))
	}
	first := all[len(all)-1]
	if got := find("--reference", first.Reference[:3]+"*", "--limit", "1000"); len(got) == 0 || !strings.HasPrefix(got[0].Reference, first.Reference[:3]) {
		t.Errorf("the beginning of a reference finds %v", numbers(got))
	}
}

func rrnOf(p control.Payment) string {
	if p.Trace == nil || p.Reversal != nil {
		return ""
	}
	return p.Trace.RRN
}

func amountOf(p control.Payment) string {
	if p.Currency == "" {
		return ""
	}
	return amount(p)
}

func TestAmountsAreTakenAsListingsWriteThem(t *testing.T) {
	for given, want := range map[string]string{"1,234.56 EUR": "1234.56 EUR", "1,234,567 JPY": "1234567 JPY", "19,99": "19,99", "19.99": "19.99"} {
		if got := thousands.ReplaceAllString(given, "$1"); got != want {
			t.Errorf("%s is taken as %s, want %s", given, got, want)
		}
	}
}
