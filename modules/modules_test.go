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
		Modules: All(), Dir: "testdata",
		Scripts: map[string]string{
			"units": unitShow, "enabled": unitEnabled, "journal": unitLog, "init-look": initLook, "init-do": initDo, "init-enable": initEnable,
			"init-log": initLog, "processes": processTable, "terminate": endScript, "services": knownServices,
			"postfix": postfixLook, "sbin": postfixRun, "keep": keepScript,
			"postfix-place": postfixPlace, "spool": postfixSpool, "queue": postfixList,
			"open-files": openFiles, "keep-mark": keepMark,
			"account": accountRun, "apt-age": aptAge, "apt-update": aptUpdate, "apt-simulate": aptSimulate, "apt-do": aptDo, "facts": factsLook,
		},
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
