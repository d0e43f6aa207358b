package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

type peerKey struct{}

// withPeer keeps the name of the connection's user, as the kernel gives it, in the connection's
// context.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerName(c))
}

// peerOf gives "user:NAME"; empty where the kernel did not say.
func peerOf(ctx context.Context) string {
	name, _ := ctx.Value(peerKey{}).(string)
	return name
}

func peerName(c net.Conn) string {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return ""
	}
	uid, err := peerUID(conn)
	if err != nil {
		return ""
	}
	number := strconv.FormatUint(uint64(uid), 10)
	if account, err := user.LookupId(number); err == nil && account.Username != "" {
		return "user:" + account.Username
	}
	return "user:" + number // no name in the user database: the number is all there is
}

func peerUID(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	var failure error
	err = raw.Control(func(fd uintptr) {
		credentials, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || failure != nil {
		return 0, fmt.Errorf("read the peer's credentials: %w", errors.Join(err, failure))
	}
	return credentials.Uid, nil
}
