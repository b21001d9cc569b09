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
---@field serial? integer|string|(integer|string)[] How many hosts make a batch, such as 5 or "20%"; of a list the last goes on. A batch begins when the one before has ended, unless all of that failed.
---@field max_failures? integer|string How many hosts may fail, such as 2 or "10%". When more did, no more are begun.

---Runs a function for many hosts at the same time, and returns what it returned for each: true for nothing, false for hosts that --limit leaves out. A run that goes on takes only the hosts that it is not done with.
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


