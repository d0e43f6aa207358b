package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"
)

// scans is what the search for numbers saw.
type scans struct {
	of       []string // the numbers to look for, of cards and of bank accounts
	numbers  string   // file of them
	unposted string   // file of those that no shop posted in clear
	bytes    int64
}

// lookForNumbers looks for every number used in all that the online side keeps: the relay's folder
// with the channel's store, all logs, and the memory of the running relay, through which those must
// have passed that a shop posted unsealed. A control proves that the search finds what there is.
func (d *demo) lookForNumbers(ctx context.Context) (err error) {
	if err := d.writeNumbers(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(d.scans.numbers), os.Remove(d.scans.unposted)) }()
	if err := d.control(ctx); err != nil {
		return err
	}
	memory := d.site.Path("relay.memory")
	defer func() { err = errors.Join(err, os.RemoveAll(memory)) }()
	if err := dumpMemory(d.site.Relay.Pid(), memory); err != nil {
		return fmt.Errorf("read the relay's memory: %w", err)
	}
	places := []string{d.site.Path("relay"), d.site.Path("logs")}
	for _, place := range append(places, memory) {
		d.scans.bytes += sizeOf(place)
	}
	kept, report, err := d.scan(ctx, d.scans.numbers, places...)
	if err != nil {
		return err
	}
	remembered, more, err := d.scan(ctx, d.scans.unposted, memory)
	if err != nil {
		return err
	}
	d.tally.clear = kept + remembered
	d.say("Looked for all %d card and bank account numbers, plain, spaced, BCD, UTF-16 and base64, in the relay's disk, channel store, all logs", len(d.scans.of))
	d.say("  and, but for %d posted unsealed, the running relay's memory (%d MB): %d found. The bank wants its files in clear:",
		len(numbersOf(d.orders, unsealed)), d.scans.bytes>>20, d.tally.clear)
	d.say("  they lie on the vault's host, mode 0600.")
	if d.tally.clear > 0 {
		return errors.New("account numbers in clear:\n" + report + more)
	}
	return nil
}

// unsealed reports an order whose account a shop posts in clear.
func unsealed(o order) bool { return o.defect == "plaintext" }

func (d *demo) writeNumbers() error {
	d.scans.numbers, d.scans.unposted = d.site.Path("numbers"), d.site.Path("numbers-not-posted-in-clear")
	d.scans.of = numbersOf(d.orders, func(order) bool { return true })
	posted := numbersOf(d.orders, unsealed)
	others := slices.DeleteFunc(slices.Clone(d.scans.of), func(number string) bool { return slices.Contains(posted, number) })
	for path, numbers := range map[string][]string{d.scans.numbers: d.scans.of, d.scans.unposted: others} {
		if err := os.WriteFile(path, []byte(strings.Join(numbers, "\n")+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// scan counts what `relay scan` finds of the numbers of a file.
func (d *demo) scan(ctx context.Context, numbers string, places ...string) (found int, report string, err error) {
	out, err := d.site.Run(ctx, "relay", append([]string{"scan", "--numbers", numbers}, places...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 7 {
		err = nil
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "*") { // a masked number
			found++
		}
	}
	return found, out, err
}

// control plants a card's and a bank account's number in every encoding, and reads our own memory,
// which holds all numbers: all must be found.
func (d *demo) control(ctx context.Context) (err error) {
	dir := d.site.Path("control")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	planted := 0
	for _, pick := range []func(order) string{func(o order) string { return o.number }, func(o order) string { return o.account }} {
		i := slices.IndexFunc(d.orders, func(o order) bool { return pick(o) != "" })
		n, err := d.plant(ctx, dir, pick(d.orders[i]))
		if err != nil {
			return err
		}
		planted += n
	}
	own := filepath.Join(dir, "memory")
	if err := dumpMemory(os.Getpid(), own); err != nil {
		return err
	}
	found, _, err := d.scan(ctx, d.scans.numbers, own)
	if err != nil || found < len(d.scans.of) {
		return errors.Join(fmt.Errorf("the search found %d of %d numbers in a memory that holds them all: it is blind", found, len(d.scans.of)), err)
	}
	d.say("Control: numbers planted in %d ways are found each time, and %d times in this demo's own memory.", planted, found)
	return nil
}

// plant writes a number in every encoding, each into a file that is searched, and returns how many
// those are.
func (d *demo) plant(ctx context.Context, dir, number string) (int, error) {
	spaced := number[:4] + " " + number[4:8] + " " + number[8:12] + " " + number[12:]
	packed := number
	if len(packed)%2 == 1 {
		packed += "f"
	}
	bcd, err := hex.DecodeString(packed)
	if err != nil {
		return 0, err
	}
	var wide []byte
	for _, unit := range utf16.Encode([]rune(number)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	planted := map[string][]byte{"plain": []byte(number), "spaced": []byte(spaced), "bcd": bcd, "utf-16": wide,
		"base64": []byte(base64.StdEncoding.EncodeToString([]byte(`{"number":"` + number + `"}`)))}
	for name, content := range planted {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, append([]byte("somewhere in a file: "), content...), 0o600); err != nil {
			return 0, err
		}
		if found, _, err := d.scan(ctx, d.scans.numbers, path); err != nil || found == 0 {
			return 0, errors.Join(fmt.Errorf("the search did not find a number planted as %s: it is blind", name), err)
		}
	}
	return len(planted), nil
}

// dumpMemory copies what can be read of a process's memory into a file. The process is ours or a
// child of ours, which is what the kernel asks for (ptrace(2), Yama).
func dumpMemory(pid int, path string) error {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	defer maps.Close()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer memory.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	var total int64
	regions := bufio.NewScanner(maps)
	for regions.Scan() {
		var from, to int64
		var permissions string
		if _, err := fmt.Sscanf(regions.Text(), "%x-%x %s", &from, &to, &permissions); err != nil || permissions[0] != 'r' || strings.Contains(regions.Text(), "[v") {
			continue
		}
		// Pages that went away meanwhile are passed over.
		n, _ := io.Copy(out, io.NewSectionReader(memory, from, to-from))
		total += n
	}
	if total == 0 {
		return errors.New("the kernel let nothing be read: run as the process's user, and see kernel.yama.ptrace_scope")
	}
	return out.Close()
}

func sizeOf(place string) (total int64) {
	_ = filepath.WalkDir(place, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}
