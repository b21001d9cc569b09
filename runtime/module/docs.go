package module

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"regexp"
	"strings"
)

// Doc is the reference of a module. It is taken from the source: the comments of an argument struct's fields are what is
// said of the arguments, the comment of the struct is what is said of the module.
//
// In the comment of the struct, the paragraph that begins with the struct's own name is left out. Under the heading
// "# Result" a list tells the fields of the step's result, as in "- running (boolean): whether it runs"; under
// "# Example" stands an indented piece of a recipe.
type Doc struct {
	Name    string
	Summary string
	Text    string   // paragraphs with an empty line between them; may be empty
	Args    []ArgDoc // in the order of their declaration
	Result  []ArgDoc // without "changed", which every step has
	Example string
}

// ArgDoc is the reference of one argument, or of one field of a result.
type ArgDoc struct {
	Name     string
	Type     string // as [Field.TypeName]
	Required bool
	Default  string
	Choices  []string
	Text     string   // one paragraph
	Fields   []ArgDoc // of an argument that is a table, or a list or table of tables
}

// Reference makes the references of modules from the Go source of the packages that declare their arguments. An argument
// struct that the source does not have is an error.
func Reference(source fs.FS, modules []Module) ([]Doc, error) {
	types, err := structsIn(source)
	if err != nil {
		return nil, err
	}
	var docs []Doc
	for _, m := range modules {
		d := Doc{Name: m.Name, Summary: m.Summary}
		if d.Args, err = types.args(m.args, nil); err != nil {
			return nil, fmt.Errorf("cannot document %s: %w", m.Name, err)
		}
		if spec := types[m.args.Name()]; spec != nil {
			d.readComment(spec.comment, m.args.Name())
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// structSource is a struct as it stands in the source.
type structSource struct {
	comment string
	fields  *ast.StructType
}

type structSources map[string]*structSource

// structsIn finds the structs of all Go files, whatever folder they are in.
func structsIn(source fs.FS) (structSources, error) {
	found := structSources{}
	files := token.NewFileSet()
	err := fs.WalkDir(source, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("cannot read the source of the modules: %w", err)
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok {
				found.add(d)
			}
		}
		return nil
	})
	return found, err
}

func (s structSources) add(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		fields, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		text := t.Doc
		if text == nil {
			text = d.Doc
		}
		s[t.Name.Name] = &structSource{comment: text.Text(), fields: fields}
	}
}

// args documents the fields of a struct. in is its source where it has no name of its own.
func (s structSources) args(t reflect.Type, in *ast.StructType) ([]ArgDoc, error) {
	if in == nil {
		known := s[t.Name()]
		if known == nil {
			return nil, fmt.Errorf("the source has no struct %s", t)
		}
		in = known.fields
	}
	comments := commentsOf(in)
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	var docs []ArgDoc
	for i := 0; i < len(fields); i++ {
		f := fields[i]
		sf := t.Field(f.Index[0])
		if len(f.Index) > 1 {
			// All fields of an embedded struct follow one another.
			inner, err := s.args(sf.Type, nil)
			if err != nil {
				return nil, err
			}
			docs = append(docs, inner...)
			i += len(inner) - 1
			continue
		}
		source := comments[sf.Name]
		d := ArgDoc{Name: f.Name, Type: f.TypeName(), Required: f.Required, Default: f.Default, Choices: f.Choices, Text: paragraph(source.text)}
		if inner, within := structWithin(f.Type, source.expr); inner != nil {
			if d.Fields, err = s.args(inner, within); err != nil {
				return nil, err
			}
		}
		docs = append(docs, d)
	}
	return docs, nil
}

type fieldSource struct {
	text string
	expr ast.Expr
}

func commentsOf(t *ast.StructType) map[string]fieldSource {
	found := map[string]fieldSource{}
	for _, f := range t.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, name := range f.Names {
			found[name.Name] = fieldSource{text, f.Type}
		}
	}
	return found
}

// structWithin is the struct of an argument that is one, or a list or table of ones; with its source where it has no name.
func structWithin(t reflect.Type, expr ast.Expr) (reflect.Type, *ast.StructType) {
	for {
		switch t {
		case viewType, secretType:
			return nil, nil
		}
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			t = t.Elem()
			switch e := expr.(type) {
			case *ast.StarExpr:
				expr = e.X
			case *ast.ArrayType:
				expr = e.Elt
			case *ast.MapType:
				expr = e.Value
			}
		case reflect.Struct:
			in, _ := expr.(*ast.StructType)
			return t, in
		default:
			return nil, nil
		}
	}
}

// paragraph is a comment on one line.
func paragraph(text string) string { return strings.Join(strings.Fields(text), " ") }

var resultField = regexp.MustCompile(`(?s)^([a-z][a-z0-9_]*) \(([a-z ]+)\): (.+)$`)

// readComment takes a struct's comment apart.
func (d *Doc) readComment(text, typeName string) {
	var parser comment.Parser
	var printer comment.Printer
	var paragraphs []string
	section := ""
	for _, block := range parser.Parse(text).Content {
		plain := strings.TrimSpace(string(printer.Text(&comment.Doc{Content: []comment.Block{block}})))
		switch block := block.(type) {
		case *comment.Heading:
			section = strings.TrimPrefix(plain, "# ")
		case *comment.List:
			if section != "Result" {
				paragraphs = append(paragraphs, plain)
				continue
			}
			for _, item := range block.Items {
				d.addResult(paragraph(string(printer.Text(&comment.Doc{Content: item.Content}))))
			}
		case *comment.Code:
			if section == "Example" {
				d.Example = strings.TrimRight(block.Text, "\n") + "\n"
				continue
			}
			paragraphs = append(paragraphs, plain)
		default:
			plain = paragraph(plain)
			if section == "" && plain != typeName && !strings.HasPrefix(plain, typeName+" ") {
				paragraphs = append(paragraphs, plain)
			}
		}
	}
	d.Text = strings.Join(paragraphs, "\n\n")
}

func (d *Doc) addResult(item string) {
	if m := resultField.FindStringSubmatch(item); m != nil {
		d.Result = append(d.Result, ArgDoc{Name: m[1], Type: m[2], Text: m[3]})
		return
	}
	d.Result = append(d.Result, ArgDoc{Name: item, Type: "?", Text: ""})
}
