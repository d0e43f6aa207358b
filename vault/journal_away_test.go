package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// TestOrdersWaitForAJournalThatIsAway: orders that come while the journal's directory cannot be
// used end nothing; they wait, also over a restart, and are done when it is back.
func TestOrdersWaitForAJournalThatIsAway(t *testing.T) {
	for name, restart := range map[string]bool{"while it runs": false, "over a restart": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			dir := t.TempDir()
			s.configure(map[string]string{`place = "channel"`: `place = "directory"`, "directory = \"\"\n": fmt.Sprintf("directory = %q\n", dir)})
			stop := s.serve()
			s.enrol()
			var merchant control.Merchant
			s.json(&merchant, "merchant", "policy", "shop-1", "--storage", "on", "--reason", "a test")
			account := `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`
			s.send(draft{order: `{"operation":"store","reference":"first"}`, account: account},
				draft{order: `{"operation":"store","reference":"second"}`, account: account})
			done := func() (all []control.Payment) {
				s.json(&all, "payment", "list", "--status", string(book.StageDone))
				return all
			}
			s.wait("two stored accounts", func() bool { return len(done()) == 2 })
			tokens := []string{done()[0].Token, done()[1].Token}
			stop()

			// Away: a file stands where the generation's directory is.
			generation := dir + "/generation-1"
			s.must(os.Rename(generation, generation+".away"))
			s.must(os.WriteFile(generation, []byte("x"), 0o600))
			stop = s.serve()
			s.send(draft{order: `{"operation":"store","reference":"third"}`, account: account},
				draft{order: fmt.Sprintf(`{"operation":"forget","reference":"drop","token":%q}`, tokens[0])},
				draft{order: fmt.Sprintf(`{"operation":"sale","reference":"by token","amount":1999,"currency":"USD","token":%q}`, tokens[1])})
			var st control.Status
			s.wait("status to name what waits", func() bool {
				s.json(&st, "status")
				return strings.Contains(st.Journal, "bags wait")
			})
			if restart {
				stop()
				stop = s.serve()
				if s.json(&st, "status"); !strings.Contains(st.Journal, "bags wait") {
					t.Errorf("status after the restart: %s", st.Journal)
				}
			}
			if n := len(done()); n != 2 {
				t.Errorf("%d orders done while the journal is away", n)
			}
			s.must(os.Remove(generation))
			s.must(os.Rename(generation+".away", generation))
			s.wait("the orders to be done", func() bool { return len(done()) == 4 && s.sales() == 1 })
			if s.json(&st, "status"); !strings.HasPrefix(st.Journal, "ready") || strings.Contains(st.Journal, "bags wait") {
				t.Errorf("status afterwards: %s", st.Journal)
			}
			stop()
			s.serve()()
			s.checkLedger()
		})
	}
}

// TestJournalPutBackInItsDirectory: a directory that held less at the unlock is believed once what
// is missing is there again, without a restart.
func TestJournalPutBackInItsDirectory(t *testing.T) {
	for name, c := range map[string]struct{ lose, putBack func(s *site, dir string) }{
		"its disk was not mounted": {
			func(s *site, dir string) { s.must(os.Rename(dir, dir+".away")); s.must(os.Mkdir(dir, 0o700)) },
			func(s *site, dir string) { s.must(os.Rename(dir, dir+".empty")); s.must(os.Rename(dir+".away", dir)) },
		},
		"a byte was altered": {flipSegment, flipSegment},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			dir := filepath.Join(t.TempDir(), "second")
			s.must(os.Mkdir(dir, 0o700))
			s.configure(map[string]string{`place = "channel"`: `place = "directory"`, "directory = \"\"\n": fmt.Sprintf("directory = %q\n", dir)})
			s.serve()()
			s.serve()() // its head knows now what was journalled
			c.lose(s, dir)
			stop := s.serve()
			var st control.Status
			if s.json(&st, "status"); !strings.Contains(st.Journal, "put the journal back") {
				t.Errorf("status: %s", st.Journal)
			}
			c.putBack(s, dir)
			s.wait("the journal to be in order", func() bool {
				s.json(&st, "status")
				return strings.HasPrefix(st.Journal, "ready") && !strings.Contains(st.Journal, "bags wait")
			})
			stop()
			s.serve()()
			s.checkLedger()
		})
	}
}

// flipSegment turns a bit in the middle of the directory's newest segment over.
func flipSegment(s *site, dir string) {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "generation-1", "*.seg"))
	s.must(err)
	path := found[len(found)-1]
	data, err := os.ReadFile(path)
	s.must(err)
	data[len(data)/2] ^= 1
	s.must(os.WriteFile(path, data, 0o600))
}
