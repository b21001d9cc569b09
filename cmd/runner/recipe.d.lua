---@meta
-- What a recipe sees, for editors with the Lua language server. Written by `runner doc --types`; do not edit it by hand.

---A host of the recipe.
---@class Host
---@field name string

---A value that is never shown.
---@class Secret

---An error as pcall gives it. The methods of strings work on its message.
---@class Error
---@field message string
---@field at string The place in the recipe, "mail.lua:12:3".
---@field host? string
---@field unreachable? boolean
---@field hint? string

---A time: "90s", "1h30m", "5d", or a number of seconds.
---@alias Duration string|number

---A size: "20M", in units of 1024, or a number of bytes.
---@alias Size string|integer

---@class ParamDeclaration
---@field type? "string"|"number"|"boolean"|"list"|"table"|"secret" Without it, that of the default.
---@field default? any
---@field required? boolean
---@field choices? string[]
---@field help? string

---@class RecipeDeclaration
---@field name string
---@field help? string
---@field hosts? table<string, string> Name and what the host is for.
---@field groups? table<string, string> Name and what the hosts are for.
---@field params? table<string, ParamDeclaration|string>

---Says what the recipe is and needs. It comes first, and once.
---@param declaration RecipeDeclaration
function recipe(declaration) end

---The hosts that recipe { … } names.
---@type table<string, Host>
hosts = {}

---The groups that recipe { … } names.
---@type table<string, Host[]>
groups = {}

---The parameters that recipe { … } names.
---@type table<string, any>
params = {}

---What later tasks need, also when the run is interrupted and resumed: texts, numbers, booleans and tables of them.
---@type table<string, any>
saved = {}

---@class Runner
---@field check boolean Whether nothing is to be changed (--check).
---@field version string
runner = {}

---@class Extension
---@field name? string Of the recipe, in place of the one that it extends.
---@field help? string
---@field defaults? table<string, any> Other defaults of parameters that the recipe has.
---@field params? table<string, string|ParamDeclaration> More parameters.
---@field hosts? table<string, any> More hosts.
---@field groups? table<string, any> More groups.

---Runs another recipe, a file beside this one or a stock recipe, as the first part of this one, and returns what it returns. It comes
---first, in place of recipe { … }. Phases and tasks can then be changed by name: phase "name" goes on in a phase that is there, and
---tasks take before, after, replace and remove.
---@param name string
---@param extension? Extension
---@return any
function extend(name, extension) end

---@class PhaseOptions
---@field before? string Phase before which this one stands. Without before and after it is the last one.
---@field after? string Phase after which this one stands.
---@field title? string
---@field gate? string|fun(): string Question, or what words it from saved, that must be answered with yes before the phase begins.

---Begins a phase: the tasks below belong to it.
---@param name string
---@param options? PhaseOptions
function phase(name, options) end

---@class TaskOptions
---@field undo? fun() Takes back what the task did.
---@field unless? fun(): any Says that there is nothing to do: true, or why.
---@field before? string Task before which this one stands, in the phase of that task.
---@field after? string Task after which this one stands.
---@field replace? boolean This one stands in place of the one of its name, whose undo and unless stay unless others are given (false: none).
---@field remove? boolean The task is taken away: task("name", { remove = true }).

---Declares a task.
---@param name string
---@param options TaskOptions
---@param body fun()
---@overload fun(name: string, body: fun())
---@overload fun(name: string, options: TaskOptions)
function task(name, options, body) end

---Declares what is run once at the end of a phase in which a step with notify = name changed something.
---@param name string
---@param body fun()
function handler(name, body) end

---@class EachOptions
---@field forks? integer How many hosts are worked on at a time.
---@field max_failures? integer How many hosts may fail before no more are begun.

---Runs a function for many hosts at the same time, and returns what it returned for each.
---@param hosts Host[]
---@param options EachOptions
---@param fn fun(host: Host): any
---@overload fun(hosts: Host[], fn: fun(host: Host): any): any[]
---@return any[]
function each(hosts, options, fn) end

---Shows a text to the operator.
---@param ... any
function say(...) end

---Ends the task with an error.
---@param why string
function fail(why) end

---Asks the operator, who must answer yes for the task to go on.
---@param question string
---@return true
function ask(question) end

---Runs a Lua file beside the recipe, once, and returns what it returns.
---@param name string
---@return any
function require(name) end

---A secret. With a name alone the operator says where it is: in secrets = { … } of site.lua, in the environment variable
---RUNNER_SECRET_NAME, or as the answer to a question. Else from an environment variable, a file, what a command on this
---machine prints ("pass", "gopass", "age"), or a question.
---@param from string|{ env?: string, file?: string, command?: string|string[], prompt?: string }
---@return Secret
function secret(from) end


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
---stubs for the same, the last one counts.
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

