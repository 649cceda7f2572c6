package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"time"

	"restante/cmd/testbed/rawimap"
)

//go:embed sample.txt
var sampleText string

// A sampleMessage is a message of sample.txt.
type sampleMessage struct {
	folder string // in UTF-8
	date   time.Time
	flags  []string
	octets []byte
}

// sampleMail reads sample.txt.
func sampleMail() ([]sampleMessage, error) {
	picture, err := samplePicture()
	if err != nil {
		return nil, err
	}
	var all []sampleMessage
	for i, text := range strings.Split(sampleText, "\n=== ") {
		if i == 0 {
			continue // what the file says about itself
		}
		head, body, _ := strings.Cut(text, "\n")
		fields := strings.Split(head, "|")
		if len(fields) != 3 {
			return nil, fmt.Errorf("sample.txt: a message begins with %q", head)
		}
		date, err := time.Parse("2006-01-02 15:04:05 -0700", strings.TrimSpace(fields[1]))
		if err != nil {
			return nil, fmt.Errorf("sample.txt: %w", err)
		}
		body = strings.ReplaceAll(body, "@png@\n", picture)
		all = append(all, sampleMessage{
			folder: strings.TrimSpace(fields[0]),
			date:   date,
			flags:  strings.Fields(fields[2]),
			octets: []byte(strings.ReplaceAll(body, "\n", "\r\n")),
		})
	}
	return all, nil
}

// samplePicture draws a picture and returns it in lines of base64.
func samplePicture() (string, error) {
	const width, height = 240, 160
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.RGBA{uint8(x), uint8(y), uint8(255 - y), 255}
			if dx, dy := x-width/2, y-height/2; dx*dx+dy*dy < 50*50 {
				c = color.RGBA{26, 107, uint8(60 + x*y%80), 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		return "", fmt.Errorf("drawing the sample picture: %w", err)
	}
	var lines strings.Builder
	for text := base64.StdEncoding.EncodeToString(file.Bytes()); text != ""; {
		n := min(76, len(text))
		lines.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return lines.String(), nil
}

// loadSample puts the sample mail into the mailbox of a user and returns how
// many messages it is.
func loadSample(ctx context.Context, imap, user string) (int, error) {
	c, err := rawimap.Dial(ctx, imap)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.Login(user, "testbed"); err != nil {
		return 0, err
	}
	all, err := sampleMail()
	if err != nil {
		return 0, err
	}
	made := map[string]bool{"INBOX": true}
	for _, m := range all {
		name := rawimap.EncodeName(m.folder)
		if !made[name] {
			made[name] = true
			_, err1 := c.Do("CREATE " + rawimap.Quote(name))
			_, err2 := c.Do("SUBSCRIBE " + rawimap.Quote(name))
			if err := errors.Join(err1, err2); err != nil {
				return 0, err
			}
		}
		if err := c.Append(name, m.flags, m.date, m.octets); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}
