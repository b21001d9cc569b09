package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// statementScanner looks at the statements of a dump as it goes by and refuses what no dump of tables holds. The account
// that loads a dump may do anything on the target, and the client program runs commands that stand in it; the host
// that the dump comes from may do neither.
//
// It reads quotes and comments exactly as the client program does (client/mysql.cc, add_line), because a text that
// the two read differently could hide a statement from this one.
type statementScanner struct {
	state scanState
	quote byte
	head  []byte // beginning of the statement at hand, without comments
	ok    bool   // the beginning was judged
}

type scanState int

const (
	inStatement  scanState = iota
	inQuotes               // of the kind in quote
	inEscape               // inside quotes, after a backslash
	inLine                 // a comment to the end of the line
	inComment              // a comment in stars
	afterSlash             // "/": perhaps a comment
	afterDash              // "-": perhaps a comment
	afterDashes            // "--": a comment if a blank follows
	afterOpening           // "/*": a comment unless it is "/*!" or "/*M!"
	afterM                 // "/*M"
	afterStar              // "*" inside a comment
)

// headLength is how much of a statement is looked at: the longest names with room to spare.
const headLength = 256

// endOfQuotes are the bytes that matter inside quotes.
var endOfQuotes = map[byte]string{'\'': `'\`, '"': `"\`, '`': "`"}

// scan looks at the next piece. After an error nothing of the piece may go on.
func (s *statementScanner) scan(piece []byte) error {
	for i := 0; i < len(piece); i++ {
		if s.ok && s.state == inQuotes {
			// Most of a dump is quoted values of statements that were judged.
			n := bytes.IndexAny(piece[i:], endOfQuotes[s.quote])
			if n < 0 {
				return nil
			}
			i += n
		}
		if err := s.next(piece[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *statementScanner) next(c byte) error {
	switch s.state {
	case inQuotes:
		s.keep(c)
		switch {
		case c == '\\' && s.quote != '`':
			s.state = inEscape
		case c == s.quote:
			s.state = inStatement // a doubled quote opens again at once
		}
	case inEscape:
		s.keep(c)
		s.state = inQuotes
	case inLine:
		if c == '\n' {
			s.state = inStatement
		}
	case inComment, afterStar:
		switch {
		case c == '*':
			s.state = afterStar
		case c == '/' && s.state == afterStar:
			s.state = inStatement
		default:
			s.state = inComment
		}
	case inStatement:
		return s.statement(c)
	default:
		return s.perhapsComment(c)
	}
	return nil
}

// perhapsComment decides what a slash or a dash was the beginning of.
func (s *statementScanner) perhapsComment(c byte) error {
	was := s.state
	s.state = inStatement
	switch {
	case was == afterSlash && c == '*':
		s.state = afterOpening
		return nil
	case was == afterSlash:
		s.keep('/')
	case was == afterDash && c == '-':
		s.state = afterDashes
		return nil
	case was == afterDash:
		s.keep('-')
	case was == afterDashes && c == '\n':
		return nil
	case was == afterDashes && c <= ' ':
		s.state = inLine
		return nil
	case was == afterDashes:
		return errors.New("the dump holds two dashes that servers and clients read differently")
	case was == afterOpening && c == '!', was == afterM && c == '!':
		return nil // a conditional comment: its content is a statement
	case was == afterOpening && c == 'M':
		s.state = afterM
		return nil
	default: // an ordinary comment
		s.state = inComment
		return s.next(c)
	}
	return s.statement(c)
}

func (s *statementScanner) statement(c byte) error {
	switch c {
	case '\'', '"', '`':
		s.state, s.quote = inQuotes, c
		s.keep(c)
	case '#':
		s.state = inLine
	case '/':
		s.state = afterSlash
	case '-':
		s.state = afterDash
	case '\\':
		return errors.New("the dump holds a command for the client program (a backslash outside of quotes)")
	case '\n':
		// A client program may act on a line before its statement ends.
		s.keep(' ')
		return s.judge(false)
	case ';':
		err := s.judge(true)
		s.head, s.ok = s.head[:0], false
		return err
	default:
		s.keep(c)
	}
	return nil
}

func (s *statementScanner) keep(c byte) {
	if !s.ok && len(s.head) < headLength && (len(s.head) > 0 || c > ' ') {
		s.head = append(s.head, c)
	}
}

var (
	// tableStatement is what a dump does to tables: each named without a database, so that it is one of the database at hand.
	tableStatement = regexp.MustCompile("(?is)^(?:DROP (?:TABLE|VIEW) IF EXISTS|CREATE TABLE(?: IF NOT EXISTS)?|INSERT +(?:IGNORE +)?INTO|REPLACE +INTO|LOCK TABLES|ALTER TABLE)\\s+`(?:[^`]|``)+`(?:[^.`]|$)")
	otherStatement = regexp.MustCompile(`(?i)^(?:UNLOCK TABLES|COMMIT|START TRANSACTION|SET autocommit *= *[01])\s*(?:\*/)?\s*$`)
	// sessionSetting are the SETs of a dump. None can change how quotes are read.
	sessionSetting = regexp.MustCompile(`(?i)^SET (?:NAMES (?:` + charsets + `)|` + assignment + `(?:, *` + assignment + `)*)\s*(?:\*/)?\s*$`)
	conditionalAt  = regexp.MustCompile(`^\d{5,6}\s*`)
)

const (
	charsets   = `utf8|utf8mb3|utf8mb4|latin1|binary`
	assignment = `(?:@\w+ *= *@@\w+|\w+ *= *@\w+|character_set_client *= *(?:` + charsets + `)|TIME_ZONE *= *'\+00:00'|` +
		`(?:UNIQUE_CHECKS|FOREIGN_KEY_CHECKS|SQL_NOTES|NOTE_VERBOSITY) *= *\d|SQL_MODE *= *'(?:NO_AUTO_VALUE_ON_ZERO)?')`
)

// judge refuses a statement that is none of those of a dump of tables. Before its end a statement is judged by its
// beginning; one that ends must also have begun.
func (s *statementScanner) judge(ended bool) error {
	if s.ok {
		return nil
	}
	head := strings.TrimSpace(conditionalAt.ReplaceAllString(string(s.head), ""))
	switch {
	case head == "" || head == "*/":
		return nil
	case tableStatement.MatchString(head):
		s.ok = true
		return nil
	case otherStatement.MatchString(head), sessionSetting.MatchString(head):
		return nil
	}
	words := strings.Fields(head)
	return fmt.Errorf("the dump holds a statement that no dump of tables does: %s …", strings.Join(words[:min(3, len(words))], " "))
}
