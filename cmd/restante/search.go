package main

import (
	"fmt"
	"time"

	"restante/restore"
	"restante/storage"
)

// Search is the flags that pick messages.
type Search struct {
	Sender    string `placeholder:"TEXT" help:"Only messages whose From contains this."`
	Recipient string `placeholder:"TEXT" help:"Only messages whose To contains this."`
	Subject   string `placeholder:"TEXT" help:"Only messages whose Subject contains this."`
	After     string `placeholder:"DATE" help:"Only messages dated on this day or later (2026-11-01, or an age: 30d)."`
	Before    string `placeholder:"DATE" help:"Only messages dated before this day."`
}

func (s *Search) selection(folders, references []string) (*restore.Selection, error) {
	sel := &restore.Selection{Folders: folders, References: references, From: s.Sender, To: s.Recipient, Subject: s.Subject}
	var err error
	if sel.Since, err = day(s.After); err != nil {
		return nil, fmt.Errorf("--after: %w", err)
	}
	if sel.Before, err = day(s.Before); err != nil {
		return nil, fmt.Errorf("--before: %w", err)
	}
	if err := sel.Validate(); err != nil {
		return nil, wrongUsage(err)
	}
	return sel, nil
}

// day reads a date as the beginning of that day, or an age.
func day(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	t, err := storage.ParseTime(text, time.Now())
	if err != nil {
		return t, wrongUsage(err)
	}
	return t, nil
}
