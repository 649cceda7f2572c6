//go:build !linux

package main

import "errors"

func mountTiny(dir, octets string) (unmount func(), err error) {
	return nil, errors.ErrUnsupported
}
