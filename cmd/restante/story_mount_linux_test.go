package main

import "syscall"

// mountTiny mounts a file system in memory of so many octets.
func mountTiny(dir, octets string) (unmount func(), err error) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+octets); err != nil {
		return nil, err
	}
	return func() { syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}
