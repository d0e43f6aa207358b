package volume

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestDisksBelowAFileSystem: a partition is its disk, and a volume all that it is made of.
func TestDisksBelowAFileSystem(t *testing.T) {
	sys := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		t.Helper()
		path := filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	put("devices/sda/dev", "8:0\n")
	put("devices/sda/sda1/dev", "8:1\n")
	put("devices/sda/sda1/partition", "1\n")
	put("devices/sda/sda2/dev", "8:2\n")
	put("devices/sda/sda2/partition", "2\n")
	put("devices/sdb/dev", "8:16\n")
	put("devices/dm-0/dev", "252:0\n")
	link("devices/dm-0/slaves/sda2", "../../sda/sda2")
	devices := map[string]string{"8:0": "sda", "8:1": "sda/sda1", "8:2": "sda/sda2", "8:16": "sdb", "252:0": "dm-0"}
	for number, at := range devices {
		link("dev/block/"+number, "../../devices/"+at)
	}
	of := func(number string) Devices {
		d := Devices{}
		d.add(sys, number)
		return d
	}
	for number, want := range map[string][]string{
		"8:1": {"8:0", "8:1"}, "252:0": {"252:0", "8:0", "8:2"}, "8:16": {"8:16"}, "0:44": {"0:44"},
	} {
		if got := slices.Sorted(maps.Keys(of(number))); !slices.Equal(got, want) {
			t.Errorf("%s lies on %v, not %v", number, got, want)
		}
	}
	if !of("8:1").Meet(of("252:0")) || of("8:1").Meet(of("8:16")) {
		t.Error("two file systems on one disk meet, two on different ones do not")
	}
	here, err := DevicesOf(filepath.Join(t.TempDir(), "not", "there", "yet"))
	if err != nil || len(here) == 0 {
		t.Errorf("of a directory that is to come: %v, %v", here, err)
	}
}
