-- What only a file of tests, NAME_test.lua, sees: runner test.

---Declares a test.
---@param name string
---@param body fun()
function test(name, body) end

---@class Answer
---@field stdout? string
---@field stderr? string
---@field status? integer Exit status; 0 if not given.
---@field after? string It holds once this command has run.
---@field changes? boolean The command changes the host: a module that runs it to look is at fault.

---A host that is made of answers. Methods that set something return it, so that they can be chained.
---@class FakeHost
---@field name string
local FakeHost = {}

---What a command prints. `*` stands for any word, `...` at the end for any words.
---@param command string
---@param answer? string|Answer
---@return FakeHost
function FakeHost:answer(command, answer) end

---@param path string
---@param content string|{ content?: string, mode?: string, owner?: string }
---@return FakeHost
function FakeHost:file(path, content) end

---@param path string
---@param attributes? { mode?: string, owner?: string }
---@return FakeHost
function FakeHost:dir(path, attributes) end

---@param path string
---@param target string
---@return FakeHost
function FakeHost:link(path, target) end

---What the host is: os, version, init ("systemd", "sysv"), arch, kernel, hostname, user, uid, skew, local.
---@param facts table<string, string|number>
---@return FakeHost
function FakeHost:facts(facts) end

---The programs there are, and no others.
---@param names string[]
---@return FakeHost
function FakeHost:programs(names) end

---A service of systemd that can be started, stopped, enabled and so on.
---@param name string
---@param state? { running?: boolean, enabled?: boolean }
---@return FakeHost
function FakeHost:service(name, state) end

---A Postfix that runs, with these lines in main.cf.
---@param main table<string, string>
---@return FakeHost
function FakeHost:postfix(main) end

---Steps on the host find it unreachable.
---@param why? string
---@return FakeHost
function FakeHost:unreachable(why) end

---What a file holds now; nil where there is none.
---@param path string
---@return string?
function FakeHost:content(path) end

---Every command that was run, as typed.
---@return string[]
function FakeHost:commands() end

---What was done that changes the host: commands that were declared so, and writes to files.
---@return string[]
function FakeHost:writes() end

---What became of files: "file /etc/motd 0644 0:0", "absent /etc/nologin".
---@return string[]
function FakeHost:changed() end

---The command was run; else the test fails.
---@param command string
function FakeHost:ran(command) end

---Forgets the commands and writes so far.
function FakeHost:forget() end

---A fake host under the name that the recipe gives it. sections is text in the form of the data files of modules/testdata.
---@param name string
---@param sections? string
---@return FakeHost
function host(name, sections) end

---@class StubResult
---@field changed? boolean The step changes something.
---@field changes? string[] What it changes, in the words of its plan.
---@field fails? string The step fails with this error.
---@field absent? boolean With fails: what is missing may be made by an earlier step; check mode then says that it cannot tell.
---@field unreachable? boolean The host cannot be reached.
---@field [string] any All else is what the recipe gets.

---Stands in for steps: those with a title, else those of a module, else those of modules that a pattern with * matches. Of several
---stubs for the same, the last one counts. A function is asked in check mode too, and an undo looks before it asks: then step.check is true.
---@param name string
---@param result? StubResult|fun(args: table, step: table): StubResult?
function stub(name, result) end

---What mysql.query gives for these rows.
---@param rows table[]
---@return { rows: table[], count: integer, first?: table }
function rows(rows) end

---@class RunOptions
---@field recipe? string File of the recipe; NAME.lua of NAME_test.lua if not given.
---@field phase? string
---@field from? string
---@field only? string
---@field params? table<string, any>
---@field groups? table<string, (string|FakeHost)[]>
---@field answers? boolean|table<string, boolean> By phase, or by a part of the question; what is not named is answered with yes.
---@field check? boolean
---@field limit? string
---@field fails? boolean|string The run must fail, with this text in its error; without it, it must not.

---@class TestStep
---@field name string Title of the step, else its module; name of the task.
---@field module string
---@field task string
---@field phase string
---@field hosts string[]
---@field status "ok"|"changed"|"skipped"|"failed"|"unreachable"|"unknown"
---@field changed boolean
---@field changes string[]
---@field note string
---@field error? string
---@field args table
---@field undo boolean
---@field handler boolean

---What came of a run. name is that of a task or handler, the title of a step, or a module.
---@class RunResult
---@field error? string
---@field stopped boolean A question was answered with no.
---@field saved table
---@field said string[]
---@field warnings string[]
---@field tasks string[] Names of the tasks that ran, in their order.
---@field steps TestStep[]
---@field questions { phase: string, text: string, yes: boolean }[]
local RunResult = {}

---It ran, and was not left out.
---@param name string
---@param host? string|FakeHost
function RunResult:ran(name, host) end

---It did not run, or was left out.
---@param name string
---@param host? string|FakeHost
function RunResult:not_ran(name, host) end

---It changed something.
---@param name string
---@param host? string|FakeHost
function RunResult:changed(name, host) end

---It had nothing to do.
---@param name string
---@param host? string|FakeHost
function RunResult:ok(name, host) end

---It was left out, by unless or by limit.
---@param name string
---@param host? string|FakeHost
function RunResult:skipped(name, host) end

---It failed, or its host could not be reached.
---@param name string
---@param host? string|FakeHost
function RunResult:failed(name, host) end

---Check mode cannot tell what it would do.
---@param name string
---@param host? string|FakeHost
function RunResult:unknown(name, host) end

---These ran, each after the one before it; others may have run between them.
---@param names string[]
function RunResult:order(names) end

---These tasks ran, in this order, and no others.
---@param names string[]
function RunResult:only(names) end

---A question was asked before the phase, or in a task of it.
---@param phase string
---@param part? string
function RunResult:asked(phase, part) end

---@param phase string
function RunResult:not_asked(phase) end

---The recipe said it.
---@param part string
function RunResult:says(part) end

---The one step of a name.
---@param name string
---@param host? string|FakeHost
---@return TestStep
function RunResult:step(name, host) end

---@param name string
---@return TestStep
function RunResult:task(name) end

---Goes on with the run.
---@param options? RunOptions
---@return RunResult
function RunResult:resume(options) end

---Undoes the run.
---@param options? RunOptions
---@return RunResult
function RunResult:undo(options) end

---Runs the recipe on the fake hosts.
---@param options? RunOptions
---@return RunResult
function run(options) end

---Two values are the same, tables by their content.
---@param is any
---@param want any
---@param what? string
function equal(is, want, what) end

---A text holds a part, or a list an item.
---@param whole string|any[]
---@param part any
function contains(whole, part) end

