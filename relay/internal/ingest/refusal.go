package ingest

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/channel"
)

// refusal is a problem of RFC 9457. Its text is fixed: nothing of a request is echoed.
type refusal struct {
	status int
	code   string // type is urn:nightdrop:CODE
	title  string
	detail string // what to do next
	retry  int    // seconds of Retry-After; 0 = none
}

func (r refusal) Error() string { return r.code }

// after returns the refusal with another Retry-After, at least a second.
func (r refusal) after(wait time.Duration) refusal {
	r.retry = max(1, int(math.Ceil(wait.Seconds())))
	return r
}

// The refusals of specification 6.
var (
	rateLimited = refusal{429, "rate-limited", "Too many requests",
		"Wait as long as Retry-After says, then send the same bytes again.", 1}
	overShare = refusal{429, "rate-limited", "The merchant's share of the channel is used up",
		"The vault has yet to commit what this merchant posted: send the same bytes again after Retry-After.", 30}
	noDirectory = refusal{503, "no-directory", "No valid directory from the vault yet",
		"The relay has no current directory and members list. Try again after Retry-After; if it lasts, the vault's operators must publish.", 5}
	notListed = refusal{503, "no-directory", "The vault's directory does not list this relay",
		"Post the same bytes to another relay, or here after Retry-After; if it lasts, the vault's operators must add this relay's key.", 30}
	channelUnavailable = refusal{503, "channel-unavailable", "The channel to the vault is unavailable",
		"The outcome is unknown: post the same bytes again after Retry-After, any number of times.", 2}
	channelUnreadable = refusal{503, "channel-unavailable", "The channel to the vault is unavailable",
		"Ask again after Retry-After.", 2}
	channelFull = refusal{503, "channel-full", "The channel to the vault is full",
		"Post the same bytes again after Retry-After; if it lasts, the relay's operators must make room.", 30}
	lengthRequired = refusal{411, "length-required", "A Content-Length is required",
		"Send a Content-Length and no Transfer-Encoding.", 0}
	mediaType = refusal{415, "media-type", "Not an envelope's media type",
		"Send Content-Type application/vnd.nightdrop.envelope, once, and no Content-Encoding.", 0}
	tooLarge = refusal{413, "too-large", "The envelope is too large",
		"An envelope is at most 32768 bytes. Send one envelope in each request.", 0}
	malformedNote = refusal{400, "malformed", "Not an envelope note",
		"The body must be one envelope note as specification 1 and 4 say, with exactly one signature line: check JSON, identifiers, times and base64.", 0}
	malformedQuery = refusal{400, "malformed", "A query parameter is not as it should be",
		"Give after and wait at most once each, as plain decimal numbers; wait is 0 to 60.", 0}
	unknownSigner = refusal{401, "unknown-signer", "No valid signature by a known key of the merchant",
		"Sign with a key that the vault's operators have registered for this merchant. One that they retired never counts again.", 0}
	merchantSuspended = refusal{403, "merchant-suspended", "The merchant is suspended",
		"Speak to the vault's operators. Results can still be read.", 0}
	clockOff = refusal{422, "clock", "created or until is out of bounds",
		"Set the clock: created may be at most 5 minutes ahead, until must be after created and at most 6 days after it.", 0}
	late = refusal{422, "late", "until has passed",
		"Make a new envelope only when the results show that this one was not acted on.", 0}
	unknownKey = refusal{422, "unknown-key", "A part is sealed to a key that is not in force",
		"Get the newest directory and seal again to its newest keys.", 0}
	notSealed = refusal{422, "not-sealed", "A part does not look sealed",
		"Seal each part to a key of the directory before posting; never post account data in clear.", 0}
	unauthorized = refusal{401, "unauthorized", "A bearer token of the merchant is required",
		"Send a JWT signed with EdDSA by a registered key: kid, sub, aud of this relay's origin, iat, and exp at most 5 minutes after it.", 0}
	unknownID = refusal{404, "unknown", "No result of this envelope yet",
		"Ask again later. An envelope that was posted and has a receipt gets its result when the vault has acted.", 0}
	notFound = refusal{404, "not-found", "There is nothing here",
		"Paths are exact: see /openapi.yaml. A position or checkpoint appears once the vault has published one.", 0}
	wrongMethod = refusal{405, "method", "This method is not offered here",
		"Use a method that Allow names.", 0}
)

// write answers with the problem. Every refusal of a request that may have a body closes the
// connection: what follows on it could be read as another request.
func (r refusal) write(w http.ResponseWriter, request *http.Request) {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"urn:nightdrop:" + r.code, r.title, r.status, r.detail})
	if err != nil {
		panic(http.ErrAbortHandler) // four fixed strings always marshal
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if r.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(r.retry))
	}
	if r.code == unauthorized.code {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if mayHaveBody(request) {
		h.Set("Connection", "close")
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

func mayHaveBody(r *http.Request) bool {
	bodiless := r.Method == http.MethodGet || r.Method == http.MethodHead
	return !bodiless || r.ContentLength != 0 || len(r.TransferEncoding) > 0
}

// refusalOf returns the answer to an error of the channel or the bagger.
func refusalOf(err error) refusal {
	if errors.Is(err, bagger.ErrShare) {
		return overShare
	}
	if errors.Is(err, bagger.ErrFull) || errors.Is(err, channel.ErrFull) {
		return channelFull
	}
	return channelUnavailable
}
