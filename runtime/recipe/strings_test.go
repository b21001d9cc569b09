package recipe

import (
	"slices"
	"testing"
)

// What Lua 5.1 gives for the same (tried with the interpreter of Debian's package lua5.1), except where noted.
func TestStringLibrary(t *testing.T) {
	tests := []struct{ expr, want string }{
		{`("hello"):sub(2, -2), ("hello"):sub(-3), ("hello"):sub(0), ("hello"):sub(4, 2), ("hello"):sub(-100, 100)`, "ell\tllo\thello\t\thello"},
		{`("abc"):byte(), ("abc"):byte(-1), ("abc"):byte(10)`, "97\t99"},
		{`("abc"):byte(1, -1)`, "97\t98\t99"},
		{`string.char(72, 105), ("x"):rep(3), ("x"):rep(-1), ("abc"):reverse(), #"abc"`, "Hi\txxx\t\tcba\t3"},
		{`("MiXed ü"):lower(), ("MiXed ü"):upper()`, "mixed ü\tMIXED ü"},
		{`("hello world"):find("o w"), ("hello"):find("l"), ("hello"):find("x")`, "5\t3\tnil"},
		{`("hello world"):find("(o)%s(w)")`, "5\t7\to\tw"},
		{`("a.b"):find(".", 1, true), ("a.b"):find("%."), ("abc"):find("", 10), ("abc"):find("", 4)`, "2\t2\t4\t4\t3"},
		{`("abc"):find("b", -1), ("abc"):find("b", -2)`, "nil\t2\t2"},
		{`("key = value"):match("^(%w+)%s*=%s*(%w+)$")`, "key\tvalue"},
		{`("  trim  "):match("^%s*(.-)%s*$") .. "|"`, "trim|"},
		{`("2024-01-02"):match("(%d+)-(%d+)-(%d+)")`, "2024\t01\t02"},
		{`("abc"):match("()b()")`, "2\t3"},
		{`("f(a(b)c)d"):match("%b()"), ("THE (quick) fox"):find("%((%a+)%)")`, "(a(b)c)\t5\t11\tquick"},
		{`("THE (quick) fox"):gsub("%f[%a]%a+", "X")`, "X (X) X\t3"}, // %f is of Lua 5.2, undocumented in 5.1
		{`("hello"):gsub("l", "L"), ("hello"):gsub("l", "L", 1)`, "heLLo\theLlo\t1"},
		{`("hello"):gsub("", "-")`, "-h-e-l-l-o-\t6"},
		{`("hello world"):gsub("(%w+)", "<%1>")`, "<hello> <world>\t2"},
		{`("hello"):gsub("l", { l = "1" }), ("hello"):gsub("l", { l = false })`, "he11o\thello\t2"},
		{`("hello"):gsub("(h)(e)", function(a, b) return b .. a end)`, "ehllo\t1"},
		{`("abc"):gsub("%w", "%0%0"), ("abc"):gsub("^a", "x"), ("aaa"):gsub("^a", "x")`, "aabbcc\txbc\txaa\t1"},
		{`("$name is $age"):gsub("%$(%w+)", { name = "Bob", age = 5 })`, "Bob is 5\t2"},
		{`("abc"):gsub(".", { a = 1, b = true and 2 })`, "12c\t3"},
		{`("x^2"):gsub("%^", "**"), ("a-b"):gsub("%-", "+"), ("100%"):gsub("%%", " percent")`, "x**2\ta+b\t100 percent\t1"},
		{`("[test]"):match("%[(.-)%]"), ("a]b"):match("[]]"), ("a-b"):match("[a%-]+"), ("x-z"):match("[x-z]+")`, "test\t]\ta-\tx"},
		{`("abc123"):match("[^%d]+"), ("aXb"):match("%u"), ("\t x"):match("%S"), ("é"):match("%a")`, "abc\tX\tx\tnil"},
		{`("aa bb"):match("(%w)%1"), ("<<a>>"):match("<(<?)a")`, "a\t<"},
		{`("a,b,,c"):gsub(",", ";")`, "a;b;;c\t3"},
		{`("%d %5.2f|%-5s|%5s|%05d|%x|%X|%o"):format(3.7, 3.14159, "ab", "cd", 42, 255, 255, 8)`, "3  3.14|ab   |   cd|00042|ff|FF|10"},
		{`("%g %g %g %g %e"):format(1e20, 0.1, 100000, 1e6, 12345.678)`, "1e+20 0.1 100000 1e+06 1.234568e+04"},
		{`("%q"):format('a "quoted"\nline\\')`, "\"a \\\"quoted\\\"\\\nline\\\\\""},
		{`("%c%c %s %s %%"):format(72, 105, true, 12)`, "Hi true 12 %"}, // %s of a boolean is of Lua 5.2
		{`("%5s|%.2s|%i"):format("a", "abc", "7")`, "    a|ab|7"},
		{`("%s %s"):format(hosts.old, 1.5), ("%d"):format("0x10")`, "old 1.5\t16"},
		{`("%f %f"):format(1/0, -1/0), ("%5.1f"):format(0/0):match("nan") ~= nil`, "inf -inf\ttrue"},
		{`tonumber("0x1F"), tonumber(" 12 "), tonumber("1e3"), tonumber("1_0"), tonumber("z", 36), tonumber("10", 2), tonumber("inf"), tonumber({})`, "31\t12\t1000\tnil\t35\t2\tnil\tnil"}, // "inf" is left to C there
		{`table.concat({ 1, 2, "x" }, ", "), table.concat({}, "x"), table.concat({ 1, 2, 3 }, "-", 2), table.concat({ 1, 2, 3 }, "-", 2, 2)`, "1, 2, x\t\t2-3\t2"},
		{`(function() local n = 0 for a, b in ("k1=v1;k2=v2"):gmatch("(%w+)=(%w+)") do n = n .. a .. b end return n end)()`, "0k1v1k2v2"},
		{`(function() local n = 0 for w in ("one two  three"):gmatch("%a+") do n = n + #w end return n end)()`, "11"},
		{`(function() local n = 0 for _ in ("abc"):gmatch("") do n = n + 1 end return n end)()`, "4"},
	}
	for _, tt := range tests {
		if got := says(t, "say("+tt.expr+")"); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s\nsaid %q\nwant %q", tt.expr, got, tt.want)
		}
	}
}

func TestLongTexts(t *testing.T) {
	got := says(t, `
  local lines = {}
  for i = 1, 200000 do lines[i] = "line " .. i end
  local text = table.concat(lines, "\n")
  local n = 0
  for _ in text:gmatch("[^\n]+") do n = n + 1 end
  local out, count = text:gsub("\n", ",")
  say(#text, n, #out, count, (text:match(".*\n(.-)$")))`)
	if want := []string{"2288894\t200000\t2288894\t199999\tline 200000"}; !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
}
