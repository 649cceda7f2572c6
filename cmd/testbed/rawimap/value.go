package rawimap

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A value is an element of a response: an atom, a string or a list.
type value struct {
	text   string
	list   []value
	isList bool
	isNil  bool
}

// parse reads the elements of a response. Flags, numbers and names like
// BODY[] are atoms here.
func parse(resp string) ([]value, error) {
	p := parser{rest: resp}
	values, err := p.values(0)
	if err == nil && p.rest != "" {
		err = errors.New("a ) too many")
	}
	if err != nil {
		return nil, fmt.Errorf("%w in %q", err, brief(resp))
	}
	return values, nil
}

type parser struct{ rest string }

// values reads up to the end or the ) of the list it is in.
func (p *parser) values(depth int) ([]value, error) {
	if depth > 50 {
		return nil, errors.New("lists nested too deep")
	}
	var values []value
	for {
		p.rest = strings.TrimLeft(p.rest, " ")
		switch {
		case p.rest == "" && depth == 0, strings.HasPrefix(p.rest, ")"):
			return values, nil
		case p.rest == "":
			return nil, errors.New("a ( without )")
		case p.rest[0] == '(':
			p.rest = p.rest[1:]
			list, err := p.values(depth + 1)
			if err != nil {
				return nil, err
			}
			p.rest = p.rest[1:] // the )
			values = append(values, value{list: list, isList: true})
		default:
			v, err := p.single()
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
	}
}

func (p *parser) single() (value, error) {
	switch p.rest[0] {
	case '"':
		return p.quoted()
	case '{':
		return p.literal()
	}
	end := strings.IndexAny(p.rest, ` ()"{`)
	if end < 0 {
		end = len(p.rest)
	}
	v := value{text: p.rest[:end], isNil: strings.EqualFold(p.rest[:end], "NIL")}
	p.rest = p.rest[end:]
	return v, nil
}

func (p *parser) quoted() (value, error) {
	var text strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '"':
			p.rest = p.rest[i+1:]
			return value{text: text.String()}, nil
		case '\\':
			i++
			if i == len(p.rest) {
				continue
			}
			fallthrough
		default:
			text.WriteByte(p.rest[i])
		}
	}
	return value{}, errors.New("a quoted string without end")
}

func (p *parser) literal() (value, error) {
	head, rest, ok := strings.Cut(p.rest[1:], "}\r\n")
	n, err := strconv.Atoi(head)
	if !ok || err != nil || n < 0 || n > len(rest) {
		return value{}, errors.New("a broken literal")
	}
	p.rest = rest[n:]
	return value{text: rest[:n]}, nil
}
