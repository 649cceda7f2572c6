package imapconn

import "bytes"

// keepSecret notes what must not be shown: the password or token in every form
// in which it is sent, or quoted.
func (s *session) keepSecret() {
	o := s.opts
	if len(o.Password) < 3 {
		return // user names would be hidden for it
	}
	s.secrets.Keep(o.Password)
	s.secrets.Keep(string(bytes.Trim(quote(nil, []byte(o.Password)), `"`)))
	for _, m := range []Mechanism{Plain, OAuthBearer, XOAuth2} {
		s.secrets.Keep(string(newExchange(m, o).initial))
	}
}
