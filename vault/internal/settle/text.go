package settle

import "nightdrop/vault/internal/loggable"

// maxText bounds what a person or the acquirer's host can say in one event of the log.
const maxText = 200

// quotable returns a text from outside for a person to read, cut to maxText; nothing of one that may not stand in the log.
func quotable(text string) string {
	text = text[:min(len(text), maxText)]
	if !loggable.Text(text) {
		return ""
	}
	return text
}
