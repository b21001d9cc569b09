package modules

import (
	"flag"
	"os"
	"testing"

	"runner/runtime/module"
	"runner/runtime/module/moduletest"
)

var update = flag.Bool("update", false, "write what came out into the data files of testdata")

func TestCases(t *testing.T) {
	cases := moduletest.Cases{
		Modules: All(), Dir: "testdata", Scripts: Scripts(),
	}
	if *update {
		cases.Update = func(file string, data []byte) error { return os.WriteFile(file, data, 0o644) }
	}
	cases.Run(t)
}

func TestLaws(t *testing.T) {
	docs, err := module.Reference(Source, All())
	if err != nil {
		t.Fatal(err)
	}
	moduletest.Laws(t, All(), docs)
}
