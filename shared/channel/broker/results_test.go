package broker_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"nightdrop/shared/channel/broker/brokertest"
)

// TestAResultThatDoesNotReadIsNotCounted: a bit of a stored result changes while the broker is off;
// its state then says that the result is not there, so that the vault can publish it again.
func TestAResultThatDoesNotReadIsNotCounted(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t)
	v := s.Vault()
	content := []byte("the second of the results")
	for serial, text := range [][]byte{[]byte("the first of the results"), content,
		[]byte("the third of the results")} {
		mustAck(t, v.PublishResult("shop", uint64(serial+1), "id", text))
	}
	if room, err := v.ResultsRoom(t.Context()); err != nil || room.Messages != 3 {
		t.Fatalf("before: %+v %v", room, err)
	}
	s.Stop()
	blocks := filepath.Join(s.Config.Dir, "jetstream", "RELAY", "streams", "RESULTS", "msgs")
	path := filepath.Join(blocks, "1.blk")
	stored, err := os.ReadFile(path)
	at := bytes.Index(stored, content)
	if err != nil || at < 0 {
		t.Fatalf("%s holds no such result: %v", path, err)
	}
	if _, err := os.Stat(filepath.Join(blocks, "index.db")); err != nil {
		t.Fatalf("there is no index that could be believed: %v", err)
	}
	stored[at] ^= 1
	if err := os.WriteFile(path, stored, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Start()
	if room, err := s.Vault().ResultsRoom(t.Context()); err != nil || room.Messages >= 3 {
		t.Errorf("after: %+v %v", room, err)
	}
}
