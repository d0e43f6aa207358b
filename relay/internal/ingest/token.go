package ingest

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nightdrop/shared/envelope"
)

const (
	tokenLife   = 5 * time.Minute  // the longest from iat to exp
	tokenLeeway = 60 * time.Second // between the storefront's clock and ours
)

// errToken is the one answer to every bad token: what is wrong with it is the caller's to find out.
var errToken = errors.New("no valid bearer token")

// authenticate returns the merchant that signed the bearer token (RFC 6750, RFC 7519; EdDSA of RFC
// 8037). A suspended merchant may still read.
func (e *Edge) authenticate(r *http.Request) (merchant string, err error) {
	headers := r.Header["Authorization"]
	if len(headers) != 1 {
		return "", errToken
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errToken
	}
	if err := checkToken(token); err != nil {
		return "", errToken
	}
	// A map keeps names in exact case and accepts only JSON numbers for times; a struct does
	// neither.
	claims := jwt.MapClaims{}
	if _, err := e.tokens.ParseWithClaims(token, claims, e.tokenKey); err != nil {
		return "", errToken
	}
	issued, err := claims.GetIssuedAt()
	if err != nil || issued == nil {
		return "", errToken
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil || expires.Before(issued.Time) || expires.Sub(issued.Time) > tokenLife {
		return "", errToken
	}
	return claims.GetSubject()
}

func newTokenParser(origin string, now func() time.Time) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithAudience(origin),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(tokenLeeway),
		jwt.WithTimeFunc(now),
		jwt.WithStrictDecoding(),
	)
}

// tokenKey returns the merchant's key that kid and sub name.
func (e *Edge) tokenKey(t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	// RFC 7515, 4.1.11: not understood, so not accepted
	if _, critical := t.Header["crit"]; critical {
		return nil, errToken
	}
	merchant, err := t.Claims.GetSubject()
	if err != nil || !envelope.ValidMerchant(merchant) {
		return nil, errToken
	}
	member, _, _ := e.config.Board.Member(merchant)
	for _, v := range member.Verifiers {
		if v.HashHex() == kid {
			return v.Public(), nil
		}
	}
	return nil, errToken
}
