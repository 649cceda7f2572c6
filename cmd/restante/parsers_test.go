package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// looksLikeAParser fits the names of functions that read what others wrote.
var looksLikeAParser = regexp.MustCompile(`^(parse|Parse|decode|Decode|unmarshal|Unmarshal)`)

// reads are the functions of libraries that make something of octets. Whoever
// calls one reads what others wrote.
var reads = strings.Fields(`
	json.Unmarshal json.NewDecoder xml.Unmarshal xml.NewDecoder toml.NewDecoder cbor.Unmarshal decMode.Unmarshal decode.Unmarshal csv.NewReader pem.Decode age.Decrypt
	time.Parse time.ParseInLocation time.ParseDuration url.Parse url.ParseQuery url.QueryUnescape url.PathUnescape mail.ParseAddress
	strconv.Atoi strconv.ParseInt strconv.ParseUint strconv.ParseFloat hex.DecodeString binary.Uvarint binary.Varint charset.Reader
	regexp.MustCompile ldap.CompileFilter template.Parse`)

// TestEveryParserIsFuzzed finds the functions that read octets from outside, in
// the sources, and whether parsers says which fuzz target meets each.
func TestEveryParserIsFuzzed(t *testing.T) {
	found, all, targets := map[string]bool{}, map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") {
			return err
		}
		pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../../")
		if strings.HasPrefix(pkg, "cmd/testbed") || strings.HasSuffix(pkg, "test") {
			return nil // for tests only
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := pkg + " " + f.Name.Name
			if strings.HasSuffix(file, "_test.go") {
				targets[name] = targets[name] || strings.HasPrefix(f.Name.Name, "Fuzz")
				continue
			}
			all[name] = true
			if looksLikeAParser.MatchString(f.Name.Name) || callsOneOf(f, reads) {
				found[name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(parsers) {
		entry, why, _ := strings.Cut(strings.TrimSpace(line), "//")
		names, by, ok := strings.Cut(entry, " < ")
		if entry == "" {
			continue
		}
		words := strings.Fields(names)
		if !ok || len(words) < 2 || strings.TrimSpace(by) == "-" && why == "" {
			t.Fatalf("%q is not PACKAGE FUNCTION… < TARGET…, nor PACKAGE FUNCTION… < - // WHY", line)
		}
		pkg := words[0]
		for _, name := range words[1:] {
			if listed[pkg+" "+name] = true; !all[pkg+" "+name] {
				t.Errorf("%s has no function %s", pkg, name)
			}
		}
		for target := range strings.FieldsSeq(by) {
			at, name := pkg, target
			if i := strings.LastIndexByte(target, '.'); i >= 0 {
				at, name = target[:i], target[i+1:]
			}
			if target != "-" && !targets[at+" "+name] {
				t.Errorf("%s has no fuzz target %s", at, name)
			}
		}
	}
	for f := range found {
		if !listed[f] {
			t.Errorf("%s reads octets from outside: say in parsers which fuzz target meets it", f)
		}
	}
}

// callsOneOf reports whether a function calls one of those, written package.name.
func callsOneOf(f *ast.FuncDecl, names []string) (calls bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains(names, x.Name+"."+s.Sel.Name) {
				calls = true
			}
		}
		return !calls
	})
	return calls
}
