package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"restante/storage"
)

// folderDetailsJSON are a folder's details as printed for programs.
type folderDetailsJSON struct {
	Name string `json:"name"`
	storage.FolderDetails
	Metadata []annotationJSON `json:"metadata,omitempty"`
}

// annotationJSON is an entry of METADATA; its value in base64 where it is no text.
type annotationJSON struct {
	Entry  string `json:"entry"`
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
}

// scriptJSON is a filter script.
type scriptJSON struct {
	Name   string `json:"name"`
	Active bool   `json:"active"`
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
}

func annotationsToJSON(list []storage.Annotation) []annotationJSON {
	out := []annotationJSON{}
	for _, m := range list {
		j := annotationJSON{Entry: m.Entry}
		j.Text, j.Base64 = textOrNot(m.Value)
		out = append(out, j)
	}
	return out
}

func textOrNot(b []byte) (text string, other []byte) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	return "", b
}

// details prints what the server said beside the mail.
func (c *lsCmd) details(ctx context.Context, a *app, tree *storage.Tree) error {
	d, err := tree.Details(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return c.detailsJSON(a, tree, d)
	}
	s := tree.Snapshot
	fmt.Fprintf(a.out, "%s at %s (snapshot %s)\n", oneLine(s.Account), at(s.StartedAt()), s.ID.Short())
	if d == nil {
		fmt.Fprintln(a.out, "the snapshot has no details: the server announced none, or was not asked")
		return nil
	}
	for _, q := range d.Quotas {
		fmt.Fprintf(a.out, "quota %q:", q.Root)
		for i, r := range q.Resources {
			if i > 0 {
				fmt.Fprint(a.out, ",")
			}
			fmt.Fprintf(a.out, " %s", resource(r))
		}
		if len(q.Resources) == 0 {
			fmt.Fprint(a.out, " nothing is limited")
		}
		fmt.Fprintln(a.out)
	}
	printAnnotations(a, "", d.Metadata)
	for i := range d.Folders {
		printFolderDetails(a, &d.Folders[i])
	}
	for _, s := range d.Scripts {
		active := ""
		if s.Active {
			active = ", active"
		}
		fmt.Fprintf(a.out, "filter script %q: %s%s\n", s.Name, octets(int64(len(s.Octets))), active)
		for line := range strings.Lines(string(s.Octets)) {
			fmt.Fprintf(a.out, "  | %s\n", oneLine(strings.TrimRight(line, "\r\n")))
		}
	}
	return nil
}

// resource says how much of what is used. STORAGE counts units of 1024 octets
// (RFC 9208 section 5.1).
func resource(r storage.Resource) string {
	const most = 1 << 50
	if r.Name == "STORAGE" && r.Usage >= 0 && r.Usage < most && r.Limit >= 0 && r.Limit < most {
		return fmt.Sprintf("%s %s of %s", r.Name, octets(r.Usage*1024), octets(r.Limit*1024))
	}
	return fmt.Sprintf("%s %d of %d", oneLine(r.Name), r.Usage, r.Limit)
}

func printAnnotations(a *app, indent string, list []storage.Annotation) {
	for _, m := range list {
		fmt.Fprintf(a.out, "%smetadata %s: %q\n", indent, oneLine(m.Entry), m.Value)
	}
}

func printFolderDetails(a *app, f *storage.FolderDetails) {
	fmt.Fprintf(a.out, "%s:", oneLine(storage.FolderName(f.Levels)))
	if f.Rights != "" {
		fmt.Fprintf(a.out, " rights %s", oneLine(f.Rights))
	}
	for i, q := range f.Quotas {
		if i > 0 || f.Rights != "" {
			fmt.Fprint(a.out, ",")
		}
		fmt.Fprintf(a.out, " quota %q", q)
	}
	fmt.Fprintln(a.out)
	for _, g := range f.ACL {
		fmt.Fprintf(a.out, "  %q has %s\n", g.Identifier, oneLine(g.Rights))
	}
	printAnnotations(a, "  ", f.Metadata)
}

func (c *lsCmd) detailsJSON(a *app, tree *storage.Tree, d *storage.Details) error {
	out := map[string]any{"snapshot": toJSON(tree.Snapshot)}
	if d == nil {
		out["details"] = nil
		return a.printJSON(out)
	}
	folders, scripts := []folderDetailsJSON{}, []scriptJSON{}
	for _, f := range d.Folders {
		folders = append(folders, folderDetailsJSON{storage.FolderName(f.Levels), f, annotationsToJSON(f.Metadata)})
	}
	for _, s := range d.Scripts {
		j := scriptJSON{Name: s.Name, Active: s.Active}
		j.Text, j.Base64 = textOrNot(s.Octets)
		scripts = append(scripts, j)
	}
	out["details"] = map[string]any{"quotas": append([]storage.Quota{}, d.Quotas...), "folders": folders, "metadata": annotationsToJSON(d.Metadata), "scripts": scripts}
	return a.printJSON(out)
}
