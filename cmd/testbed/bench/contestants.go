package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// What the runs of a contestant are called.
const (
	firstRun  = "first"
	nothing   = "nothing changed"
	oneLetter = "one new message"
)

// Names of contestants that others are compared with.
const (
	inDirectory = "restante, directory"
	inBucket    = "restante, S3"
	mbsyncName  = "mbsync"
	bareAlone   = "bare fetch, 1 connection"
)

func bareName(connections int) string {
	if connections == 1 {
		return bareAlone
	}
	return fmt.Sprintf("bare fetch, %d connections", connections)
}

// contestants are those that can be had.
func (b *bench) contestants(ctx context.Context) []contestant {
	list := []contestant{{inDirectory, b.tryRestante(false)}}
	if b.site.S3 != "" {
		list = append(list, contestant{inBucket, b.tryRestante(true)})
	} else {
		b.leaveOut(inBucket, "there is no S3 server")
	}
	b.version(ctx, b.restante, "version")
	for _, n := range slices.Compact([]int{b.Connections, 1}) {
		list = append(list, contestant{bareName(n), b.tryBareFetch(n)})
	}
	if b.version(ctx, "mbsync", "--version") {
		list = append(list, contestant{mbsyncName, b.tryMbsync})
	}
	if b.version(ctx, "restic", "version") {
		for _, how := range []string{"auto", "max"} {
			list = append(list, contestant{"restic " + how, b.tryRestic(how)})
		}
	}
	if b.version(ctx, "borg", "--version") {
		for _, how := range []string{"zstd,3", "zstd,9"} {
			list = append(list, contestant{"borg " + how, b.tryBorg(how)})
		}
	}
	return list
}

// version takes note of a program's version, or that it is not there.
func (b *bench) version(ctx context.Context, program, flag string) bool {
	out, err := b.site.Output(ctx, b.site.Command(program, flag))
	if err != nil {
		b.leaveOut(filepath.Base(program), "it is not installed")
		return false
	}
	line, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	line, _, _ = strings.Cut(line, " compiled with")
	b.report.Versions = append(b.report.Versions, line)
	return true
}

func (b *bench) leaveOut(who, why string) {
	b.site.Say("%s is left out: %s", who, why)
	b.report.Remarks = append(b.report.Remarks, who+" is left out: "+why)
}
