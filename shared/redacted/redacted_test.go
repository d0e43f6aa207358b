package redacted_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"nightdrop/shared/redacted"
)

type holder struct {
	redacted.Secret
	Key string
}

func TestHolderPrintsNothing(t *testing.T) {
	const key = "swordfish"
	h := holder{Key: key}
	for _, held := range []any{h, &h, []holder{h}, map[string]holder{"k": h}, struct{ H holder }{h}} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("held", "h", held)
		object, err := json.Marshal(held)
		if err != nil {
			t.Fatal(err)
		}
		for how, out := range map[string]string{
			"%v": fmt.Sprintf("%v", held), "%+v": fmt.Sprintf("%+v", held), "%#v": fmt.Sprintf("%#v", held),
			"%s": fmt.Sprintf("%s", held), "%x": fmt.Sprintf("%x", held), "%d": fmt.Sprintf("%d", held),
			"slog": log.String(), "JSON": string(object),
		} {
			if strings.Contains(out, key) || strings.Contains(out, fmt.Sprintf("%x", key)) || !strings.Contains(out, redacted.Text) {
				t.Errorf("%T by %s: %s", held, how, out)
			}
		}
	}
}
