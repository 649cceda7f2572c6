//go:build !linux || !amd64

package powercut

import "os/exec"

func run(*exec.Cmd, Plan) (*Result, error) { return nil, ErrUnsupported }
