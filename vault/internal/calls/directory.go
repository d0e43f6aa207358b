package calls

import (
	"context"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

// firstDirectory is how long after an unlock a call waits for the directory that is issued then.
const firstDirectory = 10 * time.Second

// Directory shows the newest directory.
func (c *Calls) Directory(ctx context.Context) (control.Directory, error) {
	ctx, cancel := context.WithTimeout(ctx, firstDirectory)
	defer cancel()
	note, err := using(c, func(p Parts) ([]byte, error) {
		for {
			if note := p.Publisher.Newest(channel.NoticeDirectory); note != nil {
				return note, nil
			}
			select {
			case <-ctx.Done():
				return nil, &control.Error{Code: control.CodeUnavailable, Detail: "no directory has been issued since the unlock: look at the vault's log"}
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	if err != nil {
		return control.Directory{}, err
	}
	signed, err := envelope.Open[envelope.Directory](note, c.config.Keys.Verifier())
	if err != nil {
		return control.Directory{}, err
	}
	return control.Directory{Note: string(note), Digest: signed.Digest, Directory: signed.Value}, nil
}

// PublishDirectory issues a directory now.
func (c *Calls) PublishDirectory(ctx context.Context, actor operator.Actor) (control.Directory, error) {
	_, err := using(c, func(p Parts) (uint64, error) {
		return p.Publisher.IssueDirectory(ctx, actor.Name, actor.Origin, actor.Purpose)
	})
	if err != nil {
		return control.Directory{}, err
	}
	return c.Directory(ctx)
}

// Keys lists the sealing keys that live.
func (c *Calls) Keys(context.Context) ([]control.Key, error) {
	if _, err := c.config.Daemon.Parts(); err != nil {
		return nil, err
	}
	now := c.config.Now()
	keys := []control.Key{}
	for _, k := range c.config.Keys.Directory(now) {
		state := "current"
		switch {
		case now.Before(k.From.Time):
			state = "ahead"
		case !now.Before(k.Until.Time):
			state = "accepting"
		}
		keys = append(keys, control.Key{Name: k.Name, Suite: k.Suite, From: k.From, Until: k.Until, Dies: k.Dies, State: state})
	}
	return keys, nil
}
