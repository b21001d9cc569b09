package mysql

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Column is a column of a table, told in the same words whatever server it lives on.
type Column struct {
	Name      string
	Type      string // "varchar(150)", "int unsigned", "enum('a','b')": see normalType
	Nullable  bool
	Default   *string // the value without quotes; nil: none, or NULL
	Computed  bool    // Default is an expression, such as current_timestamp
	Charset   string  // empty for what is no text
	Collation string
	AutoID    bool   // AUTO_INCREMENT
	OnUpdate  string // "current_timestamp"; empty: nothing
	Comment   string
	Generated bool // computed from other columns: cannot be written
}

// base is the first word of the type.
func (c Column) base() string { return baseType(c.Type) }

func baseType(t string) string {
	return t[:len(t)-len(strings.TrimLeft(t, "abcdefghijklmnopqrstuvwxyz0123456789_"))]
}

// kind is how values of a column are compared.
type kind int

const (
	kindPlain kind = iota // numbers and times: their text is the same everywhere
	kindText              // depends on the character set
	kindBytes             // as it is
	kindBits
	kindFloat
)

func (c Column) kind() kind {
	switch c.base() {
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json":
		return kindText
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point", "linestring", "polygon",
		"multipoint", "multilinestring", "multipolygon", "geometrycollection":
		return kindBytes
	case "bit":
		return kindBits
	case "float", "double":
		return kindFloat
	}
	return kindPlain
}

// typeNames are other names of types (MySQL manual, "Using Data Types from Other Database Engines" and the numeric types).
var typeNames = map[string]string{
	"integer": "int", "int4": "int", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "middleint": "mediumint", "int8": "bigint",
	"bool": "tinyint", "boolean": "tinyint", "dec": "decimal", "numeric": "decimal", "fixed": "decimal", "real": "double",
	"float8": "double", "float4": "float", "character": "char", "long": "mediumtext",
}

var (
	integerWidth = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint)\(\d+\)`)
	spacing      = regexp.MustCompile(`\s*([(),])\s*`)
)

// normalType words a type so that equal types are equal texts: int(11) and int are one type since the width only says
// how to print it, and newer servers have forgotten it.
func normalType(t string) string {
	t = lowerOutsideQuotes(strings.TrimSpace(t))
	if strings.HasPrefix(t, "double precision") {
		t = "double" + strings.TrimPrefix(t, "double precision")
	}
	base := baseType(t)
	rest := t[len(base):]
	if other, ok := typeNames[base]; ok {
		base = other
	}
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "(") || rest == "" {
		t = base + rest
	} else {
		t = base + " " + rest
	}
	if !strings.Contains(t, "zerofill") {
		t = integerWidth.ReplaceAllString(t, "$1")
	} else if !strings.Contains(t, "unsigned") {
		t = strings.Replace(t, " zerofill", " unsigned zerofill", 1)
	}
	switch {
	case t == "char" || t == "binary" || t == "bit":
		return t + "(1)"
	case t == "decimal" || strings.HasPrefix(t, "decimal "):
		return "decimal(10,0)" + t[len("decimal"):]
	case base == "decimal" && !strings.Contains(t, ","):
		return strings.Replace(t, ")", ",0)", 1)
	case base == "year":
		return "year"
	}
	return t
}

// lowerOutsideQuotes lowers the case and removes needless blanks of everything but quoted values.
func lowerOutsideQuotes(t string) string {
	var b strings.Builder
	for t != "" {
		quote := strings.IndexByte(t, '\'')
		if quote < 0 {
			quote = len(t)
		}
		b.WriteString(spacing.ReplaceAllString(strings.Join(fieldsKept(strings.ToLower(t[:quote])), " "), "$1"))
		t = t[quote:]
		if t == "" {
			break
		}
		n, err := quotedLength(t)
		if err != nil {
			n = len(t)
		}
		b.WriteString(t[:n])
		t = t[n:]
	}
	return b.String()
}

// fieldsKept is strings.Fields that keeps a blank at either end as an empty field.
func fieldsKept(s string) []string {
	f := strings.Fields(s)
	if s != "" && len(f) > 0 {
		if s[0] <= ' ' {
			f = append([]string{""}, f...)
		}
		if s[len(s)-1] <= ' ' {
			f = append(f, "")
		}
	}
	return f
}

// Spec is a column definition as a recipe gives it. What it does not say is kept as it is.
type Spec struct {
	Text     string // the type as written: "varchar(150)"
	Type     string // normalised
	Nullable *bool
	Default  *string // the value without quotes
	NoValue  bool    // DEFAULT NULL
	Computed bool
	Charset  string
	Collate  string
	OnUpdate string
	AutoID   *bool
	Comment  *string
}

// ParseSpec reads a column definition: a type and then, in any order, NOT NULL, NULL, DEFAULT, CHARACTER SET, COLLATE,
// ON UPDATE CURRENT_TIMESTAMP, AUTO_INCREMENT, COMMENT (MySQL manual, "CREATE TABLE Statement", column_definition).
func ParseSpec(definition string) (Spec, error) {
	list, err := tokens(definition)
	if err != nil {
		return Spec{}, fmt.Errorf("cannot read the column type %q: it %w", definition, err)
	}
	p := specParser{text: definition, list: list}
	if err := p.parse(); err != nil {
		return Spec{}, fmt.Errorf("cannot read the column type %q: %w", definition, err)
	}
	return p.spec, nil
}

type specParser struct {
	text string
	list []token
	spec Spec
}

func (p *specParser) next() string {
	if len(p.list) == 0 {
		return ""
	}
	t := p.list[0].text
	p.list = p.list[1:]
	return t
}

func (p *specParser) peek(i int) string {
	if i >= len(p.list) {
		return ""
	}
	return p.list[i].text
}

func (p *specParser) parse() error {
	if len(p.list) == 0 {
		return errors.New("it is empty")
	}
	if !wordPattern.MatchString(p.peek(0)) {
		return errors.New("it does not begin with a type")
	}
	p.typeOf()
	for len(p.list) > 0 {
		if err := p.attribute(); err != nil {
			return err
		}
	}
	return nil
}

// typeOf reads the type up to its end: name, brackets, UNSIGNED, ZEROFILL.
func (p *specParser) typeOf() {
	p.next()
	if p.peek(0) == "PRECISION" {
		p.next()
	}
	if p.peek(0) == "(" {
		for len(p.list) > 0 && p.next() != ")" {
		}
	}
	for p.peek(0) == "UNSIGNED" || p.peek(0) == "SIGNED" || p.peek(0) == "ZEROFILL" {
		p.next()
	}
	end := len(p.text)
	if len(p.list) > 0 {
		end = p.list[0].at
	}
	p.spec.Text = strings.TrimSpace(p.text[:end])
	p.spec.Type = strings.Replace(normalType(p.spec.Text), " signed", "", 1)
}

func (p *specParser) attribute() error {
	yes, no := true, false
	switch word := p.next(); word {
	case "NOT":
		if p.next() != "NULL" {
			return errors.New("NOT must be followed by NULL")
		}
		p.spec.Nullable = &no
	case "NULL":
		p.spec.Nullable = &yes
	case "DEFAULT":
		return p.defaultValue()
	case "CHARACTER", "CHARSET":
		if word == "CHARACTER" && p.next() != "SET" {
			return errors.New("CHARACTER must be followed by SET")
		}
		if p.spec.Charset = normalCharset(strings.ToLower(p.next())); p.spec.Charset == "" {
			return errors.New("names no character set")
		}
	case "COLLATE":
		if p.spec.Collate = normalCharset(strings.ToLower(p.next())); p.spec.Collate == "" {
			return errors.New("names no collation")
		}
	case "ON":
		if p.next() != "UPDATE" {
			return errors.New("ON must be followed by UPDATE")
		}
		p.spec.OnUpdate = p.function()
	case "AUTO_INCREMENT":
		p.spec.AutoID = &yes
	case "COMMENT":
		value, err := unquote(p.next())
		if err != nil {
			return err
		}
		p.spec.Comment = &value
	default:
		return fmt.Errorf("%s is not understood here; it takes a type, NULL, NOT NULL, DEFAULT, CHARACTER SET, COLLATE, ON UPDATE, AUTO_INCREMENT and COMMENT", word)
	}
	return nil
}

func (p *specParser) defaultValue() error {
	switch word := p.peek(0); {
	case word == "":
		return errors.New("DEFAULT is followed by nothing")
	case word == "NULL":
		p.next()
		p.spec.NoValue = true
	case word[0] == '\'' || word[0] == '"':
		value, err := unquote(p.next())
		if err != nil {
			return err
		}
		p.spec.Default = &value
	case word == "-" || word[0] >= '0' && word[0] <= '9' || word[0] == '.':
		value := strings.ToLower(p.next())
		if value == "-" {
			value += p.next()
		}
		p.spec.Default = &value
	default:
		value := p.function()
		p.spec.Default, p.spec.Computed = &value, true
	}
	return nil
}

// function reads a name with optional brackets and words it as normalExpression does.
func (p *specParser) function() string {
	text := p.next()
	if p.peek(0) == "(" {
		for len(p.list) > 0 {
			t := p.next()
			text += t
			if t == ")" {
				break
			}
		}
	}
	return normalExpression(text)
}

var nowNames = regexp.MustCompile(`^(current_timestamp|now|localtime|localtimestamp)(\((\d*)\))?$`)

// normalExpression words the one expression that old servers know as a default, and leaves others as they are.
func normalExpression(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if m := nowNames.FindStringSubmatch(text); m != nil {
		if m[3] != "" && m[3] != "0" {
			return "current_timestamp(" + m[3] + ")"
		}
		return "current_timestamp"
	}
	return text
}

// normalCharset: utf8 is what newer servers call utf8mb3.
func normalCharset(name string) string {
	if rest, ok := strings.CutPrefix(name, "utf8mb3"); ok {
		return "utf8" + rest
	}
	return name
}

// unquote reads a quoted text of a statement.
func unquote(quoted string) (string, error) {
	if len(quoted) < 2 || quoted[0] != '\'' && quoted[0] != '"' {
		return "", fmt.Errorf("%q is no quoted text", quoted)
	}
	quote := quoted[0]
	inner := quoted[1 : len(quoted)-1]
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch {
		case inner[i] == quote:
			i++ // doubled
			b.WriteByte(quote)
		case inner[i] == '\\' && i+1 < len(inner):
			i++
			switch inner[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			case '0':
				b.WriteByte(0)
			case 'Z':
				b.WriteByte(0x1a)
			case 'b':
				b.WriteByte('\b')
			default:
				b.WriteByte(inner[i])
			}
		default:
			b.WriteByte(inner[i])
		}
	}
	return b.String(), nil
}

// Over is the column that c becomes when the spec is laid over it.
func (s Spec) Over(c Column) Column {
	wasText := c.kind() == kindText
	c.Type = s.Type
	if s.Nullable != nil {
		c.Nullable = *s.Nullable
	}
	if !c.Nullable && c.Default == nil {
		c.Computed = false
	}
	if s.NoValue {
		c.Default, c.Computed = nil, false
	}
	if s.Default != nil {
		c.Default, c.Computed = s.Default, s.Computed
	}
	if s.OnUpdate != "" {
		c.OnUpdate = s.OnUpdate
	}
	if s.AutoID != nil {
		c.AutoID = *s.AutoID
	}
	if s.Comment != nil {
		c.Comment = *s.Comment
	}
	switch {
	case c.kind() != kindText:
		c.Charset, c.Collation = "", ""
	case s.Charset != "":
		c.Charset, c.Collation = s.Charset, s.Collate
	case s.Collate != "":
		c.Collation = s.Collate
		c.Charset, _, _ = strings.Cut(s.Collate, "_")
	case !wasText:
		c.Charset, c.Collation = "", ""
	}
	return c
}

// Definition is the column as ALTER TABLE wants it, without its name. typeText is the type as to be written.
func (c Column) Definition() string {
	var b strings.Builder
	b.WriteString(c.Type)
	if c.kind() == kindText && c.base() != "json" {
		if c.Charset != "" {
			b.WriteString(" CHARACTER SET " + c.Charset)
		}
		if c.Collation != "" {
			b.WriteString(" COLLATE " + c.Collation)
		}
	}
	if c.Nullable {
		b.WriteString(" NULL")
	} else {
		b.WriteString(" NOT NULL")
	}
	switch {
	case c.Default != nil && c.Computed:
		b.WriteString(" DEFAULT " + *c.Default)
	case c.Default != nil && c.base() == "bit":
		b.WriteString(" DEFAULT " + *c.Default)
	case c.Default != nil:
		b.WriteString(" DEFAULT " + literal(*c.Default))
	}
	if c.OnUpdate != "" {
		b.WriteString(" ON UPDATE " + c.OnUpdate)
	}
	if c.AutoID {
		b.WriteString(" AUTO_INCREMENT")
	}
	if c.Comment != "" {
		b.WriteString(" COMMENT " + literal(c.Comment))
	}
	return b.String()
}

// Same says whether two columns are defined alike. A character set or collation that one of them leaves open is no difference.
func (c Column) Same(d Column) bool { return c.Name == d.Name && c.difference(d) == "" }

// difference names what differs, with d as what is wanted; empty when nothing does.
func (c Column) difference(d Column) string {
	switch {
	case c.Type != d.Type:
		return fmt.Sprintf("is %s, not %s", c.Type, d.Type)
	case c.Nullable != d.Nullable:
		if c.Nullable {
			return "allows NULL"
		}
		return "does not allow NULL"
	case differs(c.Charset, d.Charset), differs(c.Collation, d.Collation):
		return fmt.Sprintf("is in %s, not %s", c.Collation+c.charsetOnly(), d.Collation+d.charsetOnly())
	case !sameDefault(c, d):
		return fmt.Sprintf("has default %s, not %s", c.shownDefault(), d.shownDefault())
	case c.AutoID != d.AutoID:
		return "differs in AUTO_INCREMENT"
	case c.OnUpdate != d.OnUpdate:
		return "differs in ON UPDATE"
	}
	return ""
}

func (c Column) charsetOnly() string {
	if c.Collation != "" {
		return ""
	}
	return c.Charset
}

// differs: what one side leaves open is no difference.
func differs(a, b string) bool { return a != "" && b != "" && a != b }

func sameDefault(c, d Column) bool {
	if c.Default == nil || d.Default == nil {
		return c.Default == d.Default
	}
	if c.Computed != d.Computed {
		return false
	}
	if *c.Default == *d.Default {
		return true
	}
	if c.kind() == kindText || c.kind() == kindBytes {
		return false
	}
	a, errA := strconv.ParseFloat(*c.Default, 64) // DEFAULT 0 of a decimal(5,2) is shown as 0.00
	b, errB := strconv.ParseFloat(*d.Default, 64)
	return errA == nil && errB == nil && a == b
}

func (c Column) shownDefault() string {
	switch {
	case c.Default == nil:
		return "none"
	case c.Computed:
		return *c.Default
	}
	return literal(*c.Default)
}
