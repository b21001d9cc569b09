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

---What every step takes beside the arguments of its module.
---@class StepOptions
---@field title? string Shown instead of the module's name.
---@field notify? string|string[] Handlers that are run at the end of the phase when the step changed something.
---@field sudo? boolean Whether the step is done as root. Without it as the site says of the host.
---@field timeout? Duration How long the step may take. Without it, as long as it takes.
---@field retries? integer How many more times it is tried after a failure.
---@field delay? Duration Time between two tries.
---@field ignore_errors? boolean Whether the task goes on after a failure. The result then has failed = true and the error.

---What every step returns.
---@class StepResult
---@field changed boolean Whether the step changed something.
---@field failed? boolean With ignore_errors: the step failed.
---@field error? string With ignore_errors: why.

---The result of a module that does not say what it returns.
---@class AnyResult : StepResult
---@field [string] any

---@class archive.args : StepOptions
---@field from Host Host whose files are archived.
---@field to? Host Host that gets the archive; from when it is not given.
---@field path string Whole path of the archive.
---@field paths string[] Whole paths of the files and folders that go into it.
---@field exclude? string[] Whole paths that are left out, with all below them. "*" stands for any characters.
---@field mode? string Permissions in octal of the archive and its manifest. Default: 0600.

---@class archive.result : StepResult
---@field path string the archive
---@field manifest string its manifest
---@field bytes integer length of the archive
---@field sha256 string its SHA-256
---@field files integer files in it
---@field content_bytes integer their length

---Puts files of a host into a compressed archive with a manifest, and verifies it.
---
---The files are read by tar on from, go through this machine and are written beside the path on to. On the way every file in the archive is unpacked and summed up (SHA-256); then from sums up its files once more, and to sums up the archive. Only when both agree with what went by, the archive gets its name, and beside it stands path.manifest with the sum of the archive and a line for each file, as sha256sum -c reads it. An archive that is there already with its manifest is not made again.
---
---Files that change while they are read fail the step: stop what writes them, or leave them out. Sockets are left out.
---@param args archive.args
---@return archive.result
function archive(args) end

---@class command.args : StepOptions
---@field on Host Host that runs it.
---@field argv? string[] The program and its arguments. They reach it as they are: no shell reads them, so nothing needs quoting. Never put a password here.
---@field script? string Text for /bin/sh, where a program alone is not enough; argv are then its "$1", "$2" and so on.
---@field creates? string Path that the program makes: when it is there already nothing is run.
---@field removes? string Path that the program takes away: when it is not there nothing is run.
---@field reads? boolean Whether the program only looks. It is then run in check mode too, and is never a change.
---@field stdin? string|Secret What the program reads from its standard input; the place for a password. A string or a secret.
---@field dir? string Folder in which it is run; without it the home folder of the user.
---@field env? table<string, string> Added to its environment. Never a password: other users of the host can see it.
---@field ok? integer[] Exit statuses that are no failure. Default: 0.

---@class command.result : StepResult
---@field stdout string what it printed
---@field stderr string what it printed as errors
---@field lines string[] stdout by lines
---@field status integer its exit status

---Runs a program on a host.
---
---It is run each time, and counts as a change, unless creates or removes says that its work is done, or reads that it has none to do.
---@param args command.args
---@return command.result
function command(args) end

---@class cron.args : StepOptions
---@field on Host Host that runs the job.
---@field name string Name of the job: letters, digits, _ and -, since cron passes over other files.
---@field state? "present"|"absent" What is to be there. Default: present.
---@field job? string Command line, for /bin/sh. Never put a password here.
---@field user? string User who runs it. Default: root.
---@field minute? string Minutes, as crontab(5) has them: "5", "*/10", "0,30", "10-20". Default: *.
---@field hour? string Hours. Default: *.
---@field day? string Days of the month. Default: *.
---@field month? string Months. Default: *.
---@field weekday? string Days of the week: 0 and 7 are Sunday. Default: *.
---@field at? "hourly"|"daily"|"weekly"|"monthly"|"yearly"|"reboot" Instead of all these: how often, or at each start of the host.
---@field env? table<string, string> Variables that the job finds. MAILTO is who gets what it prints. Never a password: others can read the file.

---@class cron.result : StepResult
---@field path string the file
---@field line string the line of the job

---Sees to it that a command is run at certain times.
---
---The job stands in a file of its own, /etc/cron.d/NAME, which cron reads by itself within a minute. It needs root. A percent sign in the command is written as it is: what crontab(5) wants is put before it.
---@param args cron.args
---@return cron.result
function cron(args) end

---@class dns_check.args : StepOptions
---@field domains? string[] The domains whose mail is asked for, such as { "example.org" }. Names with other letters than ASCII are given in their xn-- form.
---@field names? string[] Names of which nothing but the addresses (A and AAAA) is asked for, such as those of a web site.
---@field mx? string|string[] The MX that each domain is to have: the name of a host, or a list of names. "10 mail.example.org" demands the preference too, "." is the null MX of a domain that takes no mail. Nothing more and nothing less may be there. Without it the domains are only looked at.
---@field wait? Duration How long to wait until every name server of every domain says so. Without it a server that does not is an error.
---@field interval? Duration Time between two looks while waiting. Default: 10s.
---@field ttl_max? Duration The largest TTL that the MX records, or those of names, may have.
---@field addresses? string[] Addresses of the new server, IPv4 and IPv6. Every MX, and every name of names and clients, must lead to some of these and to nothing else: an old AAAA beside a new A sends half of the world to the old server.
---@field clients? boolean|string[] Names by which users reach the server: a list of whole names, which must be there, or true for the usual ones of every domain (imap, pop, pop3, smtp, mail, webmail, autoconfig, autodiscover, and the services _imap, _imaps, _submission and _submissions), where they are there.
---@field ptr? string Name to which each of addresses must lead back (PTR), and which must lead to it again: others refuse mail from addresses without.
---@field spf? boolean Whether the SPF policy of every domain must let addresses send, where there is one.
---@field dkim? string[] Selectors of DKIM: every domain must have a key at each, SELECTOR._domainkey.DOMAIN (RFC 6376).
---@field resolvers? boolean|string[] Resolvers that must say the same, as a sample of the world's caches: a list of addresses, or true for four public ones. They are asked only once all authoritative servers agree, since a resolver remembers what it was asked for too early. One that does not answer is noted.
---@field expired? boolean Whether the last cache must have forgotten what was so before, as far as earlier looks of runner on this machine know.
---@field on? Host Host through whose connection the servers are asked, over TCP. Without it the runner asks them itself.
---@field resolver? string Address of the resolver that says where the name servers are, "192.0.2.1" or "192.0.2.1:5353". Without it those of /etc/resolv.conf.
---@field port? integer Port of the name servers, for a rehearsal that cannot use the usual one. Default: 53.

---@class dns_check.result : StepResult
---@field agreed boolean whether all is as wanted
---@field domains table<string, any> a table for each domain: agreed, exists, zone, mx (names of hosts), ttl (seconds), serial, addresses (of each MX), notes, problems, servers (a list of tables with name, address, known, says, mx, ttl, serial), clients (the addresses of each name), spf (the result for each address), resolvers (what each says), stale_until and stale_seconds (when the last cache has forgotten what was so before; empty and 0: nothing else is known of), change_seconds (how long caches would go on saying what is so now, if it was changed now)

---Asks all authoritative name servers where domains and names lead, and waits until they agree.
---
---A domain is as wanted when every address of every name server, those of the delegation as well as those that the zone names, answers with authority and with exactly this MX. A server that does not answer, or not with authority, is unknown, and that is never as wanted; only an address to which this machine has no route (IPv6) is left out when the same server answers at another one. An MX that is an alias or has no address is never as wanted. The name of an MX is never asked for at a resolver, which would remember that it is not there yet.
---
---There is no propagation in the DNS: once all servers agree, what is left are caches, each for the TTL that it was told. Every look is remembered on this machine (~/.cache/runner/dns), so that the time can be told at which the last cache has forgotten the old answer. So lower the TTL some days before, and look then.
---
---For what is not mail there are names: each must have addresses, and lead to none but those of addresses, over an alias or not, as every name server of its zone says.
---
---Where mx is given it is also noted what else binds a domain to its server: an MTA-STS policy (RFC 8461), which names the MX on a web server, and TLSA records (RFC 7672), which pin the certificate of an MX.
---@param args dns_check.args
---@return dns_check.result
function dns_check(args) end

---@class dovecot.accounts.args : StepOptions
---@field on Host Host of Dovecot and of the database.
---@field database string Control database.
---@field table? string Table of the accounts. Default: virtual_users.
---@field address? string Its column with the addresses. Default: email.
---@field path? string Directory that every mailbox must be below. Empty: anywhere.
---@field domains? string[] Only these domains. Empty: all.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class dovecot.accounts.result : StepResult
---@field accounts table<string, any>[] address, home, uid, gid, and mailbox, the directory of the INBOX, where Dovecot tells it
---@field count integer how many there are
---@field missing string[] accounts whose home is not there yet; Dovecot makes it with the first mail

dovecot = {}

---Asks Dovecot for every account of a control database.
---
---Dovecot is asked for each of them (doveadm user), so this finds what a look at the table does not: a query that was mistyped, a user id that does not exist, a home elsewhere than the mails were copied to. An account that Dovecot does not know fails the step; mail for it would bounce. Needs Dovecot 2.0 or later on the host. Nothing is changed.
---@param args dovecot.accounts.args
---@return dovecot.accounts.result
function dovecot.accounts(args) end

---@class dovecot.compare.args : StepOptions
---@field from Host Host that the mailboxes came from.
---@field to Host Host that they went to.
---@field path? string Where the mailbox of an account lies on from, for when its files are looked at; "/var/vmail/%Ld/%Ln/Maildir" for small letters. Default: /var/vmail/%d/%n/Maildir.
---@field target? string The same on to; path when it is not given.
---@field more? boolean Folders and messages that only to has are no differences: it is in use.
---@field users? string[] Accounts. Empty: all of the control database.
---@field database? string Control database, which says what accounts there are; where two hosts take part, that on to.
---@field table? string Its table of the accounts. Default: virtual_users.
---@field address? string Its column with the addresses. Default: email.
---@field domains? string[] Only these domains of it. Empty: all.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class dovecot.compare.result : StepResult
---@field accounts integer accounts compared
---@field folders integer their folders
---@field messages integer messages in these on from
---@field files string[] the hosts whose files were looked at, since their Dovecot could not be asked

---Compares folders, UIDVALIDITY and UIDNEXT of accounts on two servers.
---
---For each account and folder the number of messages, UIDVALIDITY and UIDNEXT are compared: when they are the same, no mail program downloads anything again. Dovecot is asked (doveadm mailbox status); where it cannot be, since it is frozen, or older than 2.0, the files tell. A difference fails the step, and the first twenty are named. Dovecot gives UIDs to new messages when it is asked, so compare after the last pass; otherwise nothing is changed. maildir_sync.verify compares the files themselves.
---@param args dovecot.compare.args
---@return dovecot.compare.result
function dovecot.compare(args) end

---@class dovecot.freeze.args : StepOptions
---@field on Host Host whose Dovecot it is.
---@field path? string Directory of all mailboxes. Default: /var/vmail.
---@field wait? Duration How long everything may take. Default: 90s.
---@field kill_after? Duration How long processes that serve users may take to end by themselves before they are asked to. Default: 200ms.
---@field delivering? boolean Freeze although Postfix runs and could deliver.

---@class dovecot.freeze.result : StepResult
---@field frozen boolean it does not run, nothing of it is left and no mailbox is open
---@field processes integer processes that are left of it
---@field open_files integer open files below path

---Stops Dovecot and waits until no process can change a mailbox.
---
---Stopping the service is not enough: with SysV init the imap processes of Dovecot 2.3 go on for half a minute and still take changes, and a copy that is made then loses mails. So this waits until there is no IMAP, POP3, managesieve, LMTP or delivery process and no open file below path; processes that serve users are asked to end (SIGTERM), deliveries never. Freeze Postfix before, since its deliveries would fail or be cut off.
---@param args dovecot.freeze.args
---@return dovecot.freeze.result
function dovecot.freeze(args) end

---@class dovecot.index.args : StepOptions
---@field on Host Host of Dovecot, and of the database.
---@field users? string[] Accounts. Empty: all of the control database.
---@field database? string Control database, which says what accounts there are; where two hosts take part, that on to.
---@field table? string Its table of the accounts. Default: virtual_users.
---@field address? string Its column with the addresses. Default: email.
---@field domains? string[] Only these domains of it. Empty: all.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class dovecot.index.result : StepResult
---@field accounts integer accounts looked at
---@field indexed integer how many of them have a folder with an index that is missing or behind
---@field folders integer how many such folders there are
---@field messages integer how many messages these hold

---Lets Dovecot make the indexes of mailboxes before their users need them.
---
---After a copy there are none, and the first login of each user has to wait until Dovecot has read the folder. This lets it do that before (doveadm index), for each account with a folder whose index does not know as many messages as there are. What must be read besides, such as for a full text search, is up to Dovecot's settings. Folders are looked at in their files, and nothing is changed by that. Needs a Dovecot of 2.1 or later that runs, and mailboxes in the Maildir format.
---@param args dovecot.index.args
---@return dovecot.index.result
function dovecot.index(args) end

---@class dovecot.passwords.args : StepOptions
---@field on Host Host of the database.
---@field database string Control database.
---@field table? string Table of the accounts. Default: virtual_users.
---@field address? string Its column with the addresses. Default: email.
---@field column? string Its column with the passwords. Default: password.
---@field default_scheme? string What passwords without a scheme are in: default_pass_scheme of the Dovecot that they come from. 32 hexadecimal digits are taken for PLAIN-MD5 only if this says so.
---@field version? string Version of the Dovecot that will read them, such as "2.4".
---@field allow_weak? boolean That Dovecot has auth_allow_weak_schemes = yes.
---@field backup? boolean Dump the database into backup_dir before it is changed. Default: true.
---@field backup_dir? string Directory on the host for that dump. Default: /var/backups/runner.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class dovecot.passwords.result : StepResult
---@field schemes table<string, integer> how many passwords are in each scheme
---@field accounts integer how many accounts there are
---@field marked integer how many passwords lack their scheme
---@field weak integer how many are in a weak scheme
---@field refused string[] addresses whose passwords the Dovecot of version refuses
---@field backup string path of the dump that was made before

---Sees to it that every stored password names its scheme.
---
---Each gets the scheme that it is in written before it ("{PLAIN-MD5}"), unless it has one: a Dovecot whose default scheme is another would refuse it. A password that has its scheme is never changed, so the step can be repeated. A row of which nobody can say what it is stops it, and so does a column that has no room for the scheme; nothing is changed then. No password is shown. Dovecot 2.4 refuses weak schemes (MD5, DES) altogether, unless auth_allow_weak_schemes = yes; whose passwords these are is told.
---@param args dovecot.passwords.args
---@return dovecot.passwords.result
function dovecot.passwords(args) end

---@class dovecot.quota_recalc.args : StepOptions
---@field on Host Host of Dovecot, and of the database.
---@field users? string[] Accounts. Empty: all of the control database.
---@field database? string Control database, which says what accounts there are; where two hosts take part, that on to.
---@field table? string Its table of the accounts. Default: virtual_users.
---@field address? string Its column with the addresses. Default: email.
---@field domains? string[] Only these domains of it. Empty: all.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class dovecot.quota_recalc.result : StepResult
---@field accounts integer accounts looked at
---@field wrong string[] those whose sum was another, or missing
---@field driver string how Dovecot keeps the sums: maildir, count, dict

---Lets Dovecot count what accounts have used of their quota.
---
---Dovecot keeps the sum of what a mailbox holds and changes it with each mail. Mails that were copied into the mailbox by something else it has not counted: users could go on over their limit, or mail be refused to somebody who has room. So the mailbox is counted in its files, and where the sum that Dovecot keeps is another, Dovecot counts anew (doveadm quota recalc). Where it then comes to another sum than the files (folders that its rules leave out), that is remembered on the host and the account left alone until its mailbox changes. With the driver "maildir" the sum is read in maildirsize; with others Dovecot is asked. Needs a Dovecot of 2.0 or later that runs and keeps a quota, and mailboxes in the Maildir format.
---@param args dovecot.quota_recalc.args
---@return dovecot.quota_recalc.result
function dovecot.quota_recalc(args) end

---@class dovecot.sieve.args : StepOptions
---@field on Host Host of Dovecot, and of the database.
---@field scripts? string[] Further scripts for everybody, or directories of them, that the settings do not name.
---@field tolerate? "none"|"accounts"|"all" Scripts whose errors are only told, and which are left out: none of them, those of accounts, or all. Default: none.
---@field users? string[] Accounts. Empty: all of the control database.
---@field database? string Control database, which says what accounts there are; where two hosts take part, that on to.
---@field table? string Its table of the accounts. Default: virtual_users.
---@field address? string Its column with the addresses. Default: email.
---@field domains? string[] Only these domains of it. Empty: all.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class dovecot.sieve.result : StepResult
---@field scripts integer how many scripts there are
---@field compiled string[] those whose compiled form was missing, older or of another version
---@field errors string[] what is wrong with scripts that are left out, as "/etc/dovecot/spam.sieve:2: unknown test"
---@field accounts string[] accounts whose scripts these are

---Compiles sieve scripts whose compiled form is missing or stale.
---
---Dovecot runs a script from its compiled form (.svbin), and where that is missing, older than the script or of another version compiles it at each delivery. Its delivery agents may not write beside the scripts that hold for everybody, so somebody has to do it for them (sievec). A script that this Dovecot does not understand is not run at all: its user's mail comes into the INBOX, unsorted. So all scripts are tried before anything is changed, and the errors are told by script and line. Those of everybody are found in the settings (sieve_before, sieve_after and the like, imapsieve, sieve_script), and the active script of each account where users or database is given. Needs a Dovecot of 2.0 or later with Pigeonhole; for the scripts of accounts it must run.
---@param args dovecot.sieve.args
---@return dovecot.sieve.result
function dovecot.sieve(args) end

---@class dovecot.thaw.args : StepOptions
---@field on Host Host whose Dovecot it is.
---@field wait? Duration How long the start may take. Default: 90s.

---@class dovecot.thaw.result : StepResult
---@field running boolean whether Dovecot runs

---Starts a frozen Dovecot again.
---@param args dovecot.thaw.args
---@return dovecot.thaw.result
function dovecot.thaw(args) end

---@class facts.args : StepOptions
---@field on Host Host that is looked at.
---@field programs? string[] Programs of which it is told whether they are there.

---@class facts.result : StepResult
---@field hostname string whole name of the host
---@field os string "debian"
---@field version string "7.11"
---@field major integer 7; 0 when it is unknown
---@field kernel string version of the kernel
---@field arch string such as "x86_64"
---@field init string "systemd", "sysv" or "other"
---@field user string user that the step is done as
---@field uid integer its number
---@field skew_seconds number how far the clock is ahead of this machine's
---@field uptime_seconds integer since the last start
---@field cpus integer processors
---@field memory integer bytes of memory
---@field memory_free integer bytes of it that programs can still get
---@field swap integer bytes of swap space
---@field addresses string[] IP addresses that others can reach it at
---@field disks table<string, any> for each folder where a disk is mounted, a table with device, size, free (bytes for an ordinary user), inodes_free
---@field programs table<string, any> for each name of programs, whether it is there

---Tells what a host is: system, memory, disks, addresses, programs.
---@param args facts.args
---@return facts.result
function facts(args) end

---@class fetch.args : StepOptions
---@field on Host Host that has the file.
---@field path string Whole path on the host.
---@field target string Path on this machine; one that ends with "/" is a folder. One that is not whole begins at the current folder. Folders that are missing are made.
---@field mode? string Permissions in octal of the file on this machine. Default: 0600.

---@class fetch.result : StepResult
---@field target string the whole path on this machine
---@field bytes integer length of the file
---@field sha256 string its SHA-256

---Copies a file from a host to this machine.
---
---The file is streamed beside the target and renamed over it when its SHA-256 is the one that the host computes. One that is the same already is not fetched.
---@param args fetch.args
---@return fetch.result
function fetch(args) end

---@class file.args : StepOptions
---@field on Host Host that has the file.
---@field path string Whole path of the file, folder or link.
---@field state? "file"|"directory"|"link"|"absent" What is to be there. With "absent" whatever is there is removed. Default: file.
---@field content? string|Secret The whole content of the file. A string, or a secret: then neither it nor what was there before is shown.
---@field template? string The whole content as a template of Go's text/template: "listen = {{ .address }}". Functions: join, lower, upper, replace, quote (for a shell).
---@field vars? table<string, any> The values of the template.
---@field line? string A line that is to stand in the file; the rest of it is left alone.
---@field match? string Regular expression (Go's RE2). Of the lines that match, the last one becomes line; when none matches, line is added at the end.
---@field after? string Regular expression. Where line is to be added it is put below the last line that matches, not at the end.
---@field without? string Regular expression. Lines that match are taken out; line itself is never taken out.
---@field mode? string Permissions in octal, such as "0640". Without it those of the file stay; a new file gets 0644 (0600 when it holds a secret), a folder 0755.
---@field owner? string User who is to own it, by name or number. Without it the owner stays.
---@field group? string Group that is to own it, by name or number. Without it the group stays.
---@field target? string Where a link points.
---@field create? boolean Whether a file that is not there is made, with line in it or empty. With content or template it always is.
---@field recurse? boolean Whether a folder is removed with all that is in it.
---@field backup? boolean Whether what is overwritten or removed is kept: below /var/backups/runner, or ~/.runner/backups of a user who is not root. Default: true.

---@class file.result : StepResult
---@field path string the path, or where the link at the path leads
---@field exists boolean whether there is something
---@field mode string permissions in octal
---@field uid integer number of the owner
---@field gid integer number of the group
---@field size integer bytes

---Writes, edits, makes and removes files, folders and links.
---
---A file is written beside its path and renamed over it, so that there is the old one or the new one at every moment. Its mode and owner stay unless others are asked for. A symbolic link is followed, unless it belongs to another user and lies in a folder in which everybody may write. What is overwritten or removed is copied first. The content of files that not everybody on the host may read is not shown.
---@param args file.args
---@return file.result
function file(args) end

---@class group.args : StepOptions
---@field on Host Host that has the group.
---@field name string Name of the group.
---@field state? "present"|"absent" What is to be there. Default: present.
---@field gid? integer Its number. Files keep the number that they have: change that of a group only before it owns any.
---@field system? boolean Whether a new group gets a number of those for services.

---@class group.result : StepResult
---@field exists boolean whether there is such a group
---@field gid integer its number
---@field members string[] users who are in it beside their own group

---Makes, changes and removes a group of users.
---@param args group.args
---@return group.result
function group(args) end

---@class http_check.args : StepOptions
---@field on? Host Host from which it is asked for, through its connection. Without it the runner asks.
---@field url string The page: "https://www.example.org/path".
---@field address? string Address that is connected to instead of the name in url.
---@field method? "GET"|"HEAD" What is asked for: the page, or its header alone. Default: GET.
---@field status? integer[] Status that is right. Default: 200.
---@field contains? string Text that must be in the body.
---@field match? string Regular expression (Go's RE2) that must match in the body.
---@field follow? boolean Whether redirects are followed, at most ten. Default: true.
---@field headers? table<string, string> Header fields that are sent.
---@field user? string User for a login with HTTP's Basic scheme.
---@field password? string|Secret The password.
---@field trusted? boolean Whether the certificate must be valid for the name and lead to an authority that this machine trusts. Default: true.
---@field ca? string Certificates in PEM of authorities that are trusted beside those of this machine.
---@field wait? Duration How long to wait until the answer is right.
---@field interval? Duration Time between two requests while waiting. Default: 1s.
---@field limit? Duration How long one request may take. Default: 30s.

---@class http_check.result : StepResult
---@field status integer status of the answer
---@field body string its text, the first 64 KiB
---@field headers table<string, any> its header fields, names in small letters
---@field url string where the answer came from, after redirects
---@field seconds number how long it took
---@field certificate table<string, any> of the server: subject, issuer, names, not_after, days_left

---Asks for a page and checks the answer.
---
---With address the page is asked for at that server whatever the DNS says, under the name in url: so a new server is tried before its name leads to it. In check mode it is asked for too: nothing but a request with GET or HEAD is sent.
---@param args http_check.args
---@return http_check.result
function http_check(args) end

---@class imap_probe.args : StepOptions
---@field on? Host Host from which the server is tried, through its connection. Without it the runner connects itself.
---@field address? string Name or address of the server. With on, that host itself (127.0.0.1) unless another one is named.
---@field port? integer TCP port: 993 or 143. Default: 993.
---@field tls? "auto"|"starttls"|"implicit"|"none" How the connection is encrypted: "starttls" on a connection that begins without, "implicit" from the first byte. "auto" is what belongs to the port. Default: auto.
---@field names? string[] Names that the certificate must be valid for.
---@field ca? string Certificates in PEM of authorities that are trusted beside those of this machine.
---@field trusted? boolean Whether the certificate must lead to an authority that this machine trusts. Without it, it must unless the connection stays within the host.
---@field user string User to log in as.
---@field password string|Secret The password.
---@field mailbox? string The mailbox that is looked into. Default: INBOX.
---@field mark? string Mark of the mail that must be there exactly once.
---@field wait? Duration How long to wait for it.
---@field remove? boolean Whether the marked mail is removed once it has been found.

---@class imap_probe.result : StepResult
---@field messages integer messages in the mailbox
---@field uidvalidity integer its UIDVALIDITY
---@field uidnext integer the UID that the next message gets
---@field mailboxes string[] the names of all mailboxes of the user
---@field found integer messages with the mark
---@field uids integer[] their UIDs
---@field header string the header of the first one: the way that it took stands there
---@field seconds number how long it was waited for
---@field encrypted boolean whether the connection was encrypted
---@field certificate table<string, any> of the server, as of [tls_check]

---Logs in to an IMAP server and finds a marked mail.
---
---It logs in as the user's own program would, opens a mailbox for reading and, with mark, finds the mail that [smtp_probe] delivered and reads it. No flag of a message changes. The password is sent over an encrypted connection with a certificate that is trusted, or within the host itself. UIDVALIDITY and the UIDs are what the programs of users know messages by: compare them before and after a move.
---@param args imap_probe.args
---@return imap_probe.result
function imap_probe(args) end

---@class maildir_sync.args : StepOptions
---@field from Host Host that the mailboxes come from.
---@field to Host Host that they go to. It may be the host that runner itself runs on, which is the fastest way.
---@field path? string Directory of all mailboxes on from: it holds a directory for each domain, these one for each user. Or a pattern of where a mailbox lies, as Dovecot's mail_location or mail_path has it: "/home/vmail/%d/%n", "/srv/mail/%u/Maildir", "/var/vmail/%d/%1n/%n", "/home/%{user | username}". Then mailboxes that lie elsewhere are an error. Where it does not tell the domain, domains holds the one there is. Default: /var/vmail.
---@field target? string The same on to; path when it is not given. Where both are patterns the mailboxes go to where this one says: "/var/vmail/%d/%n/Maildir", or "/var/vmail/%Ld/%Ln/Maildir" for small letters. The home of an account ends with the last variable of a pattern; scripts and other files of a home stay files of the home.
---@field domains? string[] Only these domains, by the names of their directories. Empty: all.
---@field users? string[] Only these users: "john@example.org", or "john" in any domain. Empty: all.
---@field exclude? string[] Folders to leave out on both sides, as shell patterns without the leading dot: "Trash", "Junk*". Folders in them too.
---@field owner? string User that Dovecot reads the mailboxes as on to, by name, with ":group" if that is not the user's own. When it is not given: the owner of target unless that is root, else vmail.
---@field lowercase? boolean Write the directories of domains and users in small letters on to, where Dovecot since 2.1 looks for them.
---@field ask_dovecot? boolean Ask the Dovecot of to, where there is one, where it looks for the mailboxes of some accounts, before the first pass. When that is elsewhere the step fails: users would find all their old mails missing. Default: true.
---@field mode? "warm"|"final"|"late"|"reverse" What the pass may do. warm: the source is in use; adds and renames, removes nothing. final: the source is quiet; makes the target equal. late: the target is in use; adds what has reached the source since the final pass. reverse: the same, back to where the final pass came from. Default: warm.
---@field max_delete? integer|string How many messages a final pass may take away: a number, or a share of those on the target ("5%", the default).
---@field full? boolean List every mailbox. Otherwise those of accounts are skipped whose directories, on both hosts, did not change since a pass found them equal; runner remembers that in its cache directory (~/.cache/runner).
---@field streams? integer How many transfers run at once. 0: one more than the host with the fewest cores has, but 2 to 6. Where the MaxSessions of a server allows fewer, fewer run.
---@field rate? Size The most bytes a second that are read from from, such as "20M". 0: no limit.
---@field compress? "auto"|"yes"|"no" Whether from compresses what it sends, with gzip. auto: when the way is slow and a transfer shows that it gains. Default: auto.

---@class maildir_sync.result : StepResult
---@field messages integer messages on from
---@field bytes integer their size
---@field mailboxes integer mailboxes on from
---@field skipped_mailboxes integer those of them that were not listed because their accounts did not change
---@field domains table<string, any> how many messages each domain lacked on to, by name
---@field copied integer messages that were sent
---@field copied_bytes integer their size
---@field renamed integer messages that were renamed on to
---@field linked integer messages that got a further name on to
---@field quarantined integer messages that were put aside
---@field quarantine string the directory where they are now
---@field vanished integer messages that had gone when they were to be read; the next pass looks again
---@field target_only integer accounts that only to has; they are never touched
---@field absent string[] domains asked for of which from has no directory
---@field left string[] what stays behind, and why; the first 20
---@field left_count integer how much that is in all
---@field seconds number how long it took
---@field next_pass_seconds number how long the next pass would take, if little happens until then

---Copies the mailboxes below a directory to another host.
---
---A message never changes, and its file name up to ":2," identifies it. So a pass copies what is missing, renames on the new host what was renamed on the old one (a change of flags, a move from new/ to cur/ or to another folder), and sends no message twice. A message becomes visible whole or not at all; a pass that was broken off is gone on with by the next. dovecot-uidlist, dovecot-keywords, subscriptions, sieve scripts and whatever else an account holds follow the messages; Dovecot's index caches do not, and those of a mailbox that changes are removed on the new host, where Dovecot must not serve these mailboxes before they are declared live.
---
---Run it warm as often as you like while the old server is in use. When it is frozen, one final pass makes the new host equal: what the old server does not have any more is put aside, beside the target (/var/vmail.quarantine-DATE), within accounts that the old server has and up to max_delete. After [maildir_sync.live] only late passes are possible: they add what has reached the old server since the final pass. The old host needs find, xargs and tar of GNU, no older than Debian 5's; the new one perl-base, unless runner runs there itself.
---@class maildir_sync
---@overload fun(args: maildir_sync.args): maildir_sync.result
maildir_sync = {}

---@class maildir_sync.converge.args : StepOptions
---@field from Host Host that the mailboxes come from.
---@field to Host Host that they go to. It may be the host that runner itself runs on, which is the fastest way.
---@field path? string Directory of all mailboxes on from: it holds a directory for each domain, these one for each user. Or a pattern of where a mailbox lies, as Dovecot's mail_location or mail_path has it: "/home/vmail/%d/%n", "/srv/mail/%u/Maildir", "/var/vmail/%d/%1n/%n", "/home/%{user | username}". Then mailboxes that lie elsewhere are an error. Where it does not tell the domain, domains holds the one there is. Default: /var/vmail.
---@field target? string The same on to; path when it is not given. Where both are patterns the mailboxes go to where this one says: "/var/vmail/%d/%n/Maildir", or "/var/vmail/%Ld/%Ln/Maildir" for small letters. The home of an account ends with the last variable of a pattern; scripts and other files of a home stay files of the home.
---@field domains? string[] Only these domains, by the names of their directories. Empty: all.
---@field users? string[] Only these users: "john@example.org", or "john" in any domain. Empty: all.
---@field exclude? string[] Folders to leave out on both sides, as shell patterns without the leading dot: "Trash", "Junk*". Folders in them too.
---@field owner? string User that Dovecot reads the mailboxes as on to, by name, with ":group" if that is not the user's own. When it is not given: the owner of target unless that is root, else vmail.
---@field lowercase? boolean Write the directories of domains and users in small letters on to, where Dovecot since 2.1 looks for them.
---@field ask_dovecot? boolean Ask the Dovecot of to, where there is one, where it looks for the mailboxes of some accounts, before the first pass. When that is elsewhere the step fails: users would find all their old mails missing. Default: true.
---@field until? Duration How long the next pass may be forecast to take. Default: 20s.
---@field passes? integer The most passes that are made. Default: 10.
---@field strict? boolean Fail when the passes do not get as short as until.
---@field streams? integer How many transfers run at once. 0: one more than the host with the fewest cores has, but 2 to 6. Where the MaxSessions of a server allows fewer, fewer run.
---@field rate? Size The most bytes a second that are read from from, such as "20M". 0: no limit.
---@field compress? "auto"|"yes"|"no" Whether from compresses what it sends, with gzip. auto: when the way is slow and a transfer shows that it gains. Default: auto.

---@class maildir_sync.converge.result : StepResult
---@field reached boolean whether the next pass is forecast to take no longer than until
---@field passes integer how many passes were made
---@field why string why no further one was made
---@field next_pass_seconds number how long the next pass would take
---@field seconds number[] how long each pass took
---@field copied integer messages that were sent, in all
---@field copied_bytes integer their size
---@field messages integer messages on from
---@field bytes integer their size
---@field mailboxes integer mailboxes on from

---Repeats warm passes until the next one would be short.
---
---Warm passes are repeated while the old server is in use, each shorter than the one before it, until the forecast of the next is no longer than asked for: that is about how long the final pass will keep users waiting. Nothing is removed on the new host. When the passes no longer get shorter, or after as many as allowed, the step says so and ends well; with strict it fails. A recipe can look at the field reached.
---@param args maildir_sync.converge.args
---@return maildir_sync.converge.result
function maildir_sync.converge(args) end

---@class maildir_sync.live.args : StepOptions
---@field on Host Host whose mailboxes are in use from now on.
---@field target? string Directory of all mailboxes there, or the pattern that maildir_sync was given. Default: /var/vmail.
---@field domains? string[] Only these domains are in use; others can still be moved here. Empty: all.
---@field state? "present"|"absent" present: the mailboxes are in use; absent: nobody uses them any more, or yet. Default: present.

---@class maildir_sync.live.result : StepResult
---@field live boolean whether all of the directory is live
---@field since string since when, as 2026-11-23T15:30:00Z
---@field domains table<string, any> since when single domains are

---Declares that mailboxes are in use on their new host, so that no pass removes or renames there any more.
---
---From then on warm and final passes into these mailboxes are refused: they would undo what users do there. The mark is a file beside the mailboxes (/var/vmail.runner/live.json).
---
---Who goes back to the old server (see maildir_sync's mode "reverse") takes the mark away again with state = "absent", so that the mailboxes can be moved another day.
---@param args maildir_sync.live.args
---@return maildir_sync.live.result
function maildir_sync.live(args) end

---@class maildir_sync.status.args : StepOptions
---@field on Host Host to look at.
---@field target? string Directory of all mailboxes there, or the pattern that maildir_sync was given. Default: /var/vmail.

---@class maildir_sync.status.result : StepResult
---@field live boolean whether all of the directory is live
---@field since string since when, as 2026-11-23T15:30:00Z
---@field domains table<string, any> since when single domains are
---@field last_final string when the last final pass into the directory was
---@field finals table<string, any>[] the last final pass of each source: from, path, time, messages, bytes

---Tells whether mailboxes are declared live and when the last final pass was.
---@param args maildir_sync.status.args
---@return maildir_sync.status.result
function maildir_sync.status(args) end

---@class maildir_sync.verify.args : StepOptions
---@field from Host Host that the mailboxes come from.
---@field to Host Host that they go to. It may be the host that runner itself runs on, which is the fastest way.
---@field path? string Directory of all mailboxes on from: it holds a directory for each domain, these one for each user. Or a pattern of where a mailbox lies, as Dovecot's mail_location or mail_path has it: "/home/vmail/%d/%n", "/srv/mail/%u/Maildir", "/var/vmail/%d/%1n/%n", "/home/%{user | username}". Then mailboxes that lie elsewhere are an error. Where it does not tell the domain, domains holds the one there is. Default: /var/vmail.
---@field target? string The same on to; path when it is not given. Where both are patterns the mailboxes go to where this one says: "/var/vmail/%d/%n/Maildir", or "/var/vmail/%Ld/%Ln/Maildir" for small letters. The home of an account ends with the last variable of a pattern; scripts and other files of a home stay files of the home.
---@field domains? string[] Only these domains, by the names of their directories. Empty: all.
---@field users? string[] Only these users: "john@example.org", or "john" in any domain. Empty: all.
---@field exclude? string[] Folders to leave out on both sides, as shell patterns without the leading dot: "Trash", "Junk*". Folders in them too.
---@field owner? string User that Dovecot reads the mailboxes as on to, by name, with ":group" if that is not the user's own. When it is not given: the owner of target unless that is root, else vmail.
---@field lowercase? boolean Write the directories of domains and users in small letters on to, where Dovecot since 2.1 looks for them.
---@field content? boolean Also compare the content of every message, by a SHA-256 that each host computes. Takes as long as reading all mails.

---@class maildir_sync.verify.result : StepResult
---@field messages integer messages compared
---@field bytes integer their size
---@field mailboxes integer mailboxes compared
---@field files integer other files compared
---@field hashed integer files whose content was compared
---@field differences integer 0, or the step has failed
---@field domains table<string, any> messages, bytes and mailboxes of each domain
---@field target_only integer accounts that only to has; they are not compared

---Compares the mailboxes of two hosts, message by message.
---
---Both sides are listed in full. Compared are names with flags, sizes, times (a message's time is its INTERNALDATE), owner and mode on the new host, and the content of dovecot-uidlist, dovecot-keywords, subscriptions and all other files that are no messages. A difference fails the step, and the first twenty are named.
---@param args maildir_sync.verify.args
---@return maildir_sync.verify.result
function maildir_sync.verify(args) end

---@class mysql.column.args : StepOptions
---@field on Host Host of the server.
---@field database string Database of the table.
---@field table string Table of the column.
---@field column string Column. It must be there unless create is set.
---@field type string Definition as in ALTER TABLE: "varchar(150) NOT NULL". What it does not say (character set, NULL, DEFAULT …) stays as it is. A type that a value of the column does not fit into is refused.
---@field create? boolean Add the column when the table does not have it.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

mysql = {}

---Sees to it that a column has a type.
---@param args mysql.column.args
---@return AnyResult
function mysql.column(args) end

---@class mysql.copy.args.columns
---@field type? string Definition as in ALTER TABLE: "varchar(150) NOT NULL". What it does not say (character set, NULL, DEFAULT …) stays as on the source.
---@field value? string SQL expression that gives the column's value, computed from the source's row: "CASE WHEN password REGEXP '^[0-9a-f]{32}$' THEN CONCAT('{PLAIN-MD5}', password) ELSE password END".

---@class mysql.copy.args.from_login
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class mysql.copy.args.to_login
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class mysql.copy.args : StepOptions
---@field from Host Host to copy from. Nothing is changed there.
---@field to Host Host to copy to.
---@field database string Database to copy: all its tables and views with their rows, indexes, keys and triggers. Stored routines and events are told and not copied.
---@field target_database? string Its name on the target. Default: the same. Tables that only the target has are told and left alone.
---@field backup? boolean Dump the target database into backup_dir before it is changed. Default: true.
---@field backup_dir? string Directory on the target for that dump. Default: /var/backups/runner.
---@field in_use? boolean Whether the source goes on being written to. A table that changed while it was copied is then taken as it was at the moment of the dump, where otherwise the step fails when it cannot keep up. The last copy, for which nothing writes any more, goes without.
---@field columns? table<string, mysql.copy.args.columns> Columns that are to be otherwise than on the source, by "table.column".
---@field from_login? mysql.copy.args.from_login Login at the source; see mysql.query.
---@field to_login? mysql.copy.args.to_login Login at the target; see mysql.query.

---Makes a database on one server what it is on another.
---@param args mysql.copy.args
---@return AnyResult
function mysql.copy(args) end

---@class mysql.database.args : StepOptions
---@field on Host Host of the server.
---@field name string Name of the database.
---@field state? "present"|"absent" Whether the database is to be there. Default: present.
---@field charset? string Character set of a database that is made; the server's own where it is not given.
---@field backup? boolean Dump a database that has tables into backup_dir before it is dropped. Default: true.
---@field backup_dir? string Directory on the host for that dump. Default: /var/backups/runner.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class mysql.database.result : StepResult
---@field exists boolean whether the database is there
---@field tables integer how many tables and views it has
---@field backup string path of the dump that was made before it was dropped

---Creates or drops a database.
---@param args mysql.database.args
---@return mysql.database.result
function mysql.database(args) end

---@class mysql.dump.args : StepOptions
---@field on Host Host of the server, and of the file.
---@field database string Database to dump, with its triggers and routines.
---@field path string File to write, with mode 0600; packed when it ends in .gz. A file of that name is replaced once the new one is complete.
---@field tables? string[] Only these tables.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---Dumps a database into a file on its host.
---@param args mysql.dump.args
---@return AnyResult
function mysql.dump(args) end

---@class mysql.exec.args : StepOptions
---@field on Host Host of the server.
---@field database? string Database to be in.
---@field sql string One statement. A ? stands for an argument. Data that does not fit its column is an error, never cut.
---@field args? any[] Values for the question marks, in their order.
---@field unless? string Query that tells whether there is anything to do: when it returns a row, there is not. Without it the statement runs each time.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---Runs a statement on a MySQL or MariaDB server.
---@param args mysql.exec.args
---@return AnyResult
function mysql.exec(args) end

---@class mysql.load.args : StepOptions
---@field on Host Host of the server, and of the file.
---@field database string Database to load into; it is created when it is not there.
---@field path string File of SQL; unpacked when it ends in .gz. A dump that ends in the middle is refused.
---@field backup? boolean Dump the database into backup_dir before it is changed. Default: true.
---@field backup_dir? string Directory for that dump. Default: /var/backups/runner.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---Loads a file of SQL on the host into a database.
---@param args mysql.load.args
---@return AnyResult
function mysql.load(args) end

---@class mysql.merge.args : StepOptions
---@field on Host Host of the server.
---@field from_database string Control database to take domains, accounts and aliases from: a copy of another server's, made by mysql.copy.
---@field database string Control database to bring them into.
---@field domains? string[] Only these domains. Empty: all of from_database. Rows of other domains are never touched.
---@field existing? "stop"|"take"|"keep" What becomes of a domain that both databases have and in which they differ: the step fails and shows the rows ("stop"), accounts become what from_database says ("take"), or database's accounts stay and only what is missing is added ("keep"). When it is not given: "take" with prune, else "stop".
---@field prune? boolean Also remove accounts and aliases of these domains that from_database does not have. Only with existing = "take".
---@field old_hosts? string[] Names of the server that from_database was copied from. An alias that leads to an address there would end when that server does.
---@field backup? boolean Dump the database into backup_dir before it is changed. Default: true.
---@field backup_dir? string Directory on the host for that dump. Default: /var/backups/runner.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class mysql.merge.result : StepResult
---@field domains integer domains that are brought over or are there already
---@field users integer their accounts
---@field aliases integer their aliases
---@field kept integer rows of these domains that stay although from_database does not have them, or has them otherwise
---@field backup string path of the dump that was made before

---Brings domains, accounts and aliases of one control database into another.
---
---Domains, accounts and aliases are matched by their names; the numbers that each server gave them are made anew. Everything is done in one transaction, or nothing. What would lose mail or lead it to somebody else stops the step, and the rows are shown: a domain or an address that stands there twice, rows without a domain or a whole address, values too long for their column, an address or a domain that both servers have, an alias of one server for a mailbox of the other, a catch-all that would get the other server's mail, aliases that together lead in a circle, aliases to the old server's own name. To bring several servers into one, copy each into a database of its own and call this for one after the other.
---@param args mysql.merge.args
---@return mysql.merge.result
function mysql.merge(args) end

---@class mysql.query.args : StepOptions
---@field on Host Host of the server.
---@field database? string Database to be in.
---@field sql string Statement that changes nothing: SELECT, SHOW, DESCRIBE or EXPLAIN. A ? stands for an argument.
---@field args? any[] Values for the question marks, in their order.
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---Asks a MySQL or MariaDB server and returns the rows.
---@param args mysql.query.args
---@return AnyResult
function mysql.query(args) end

---@class mysql.user.args.login
---@field user? string Account of the server.
---@field password? string|Secret Its password.
---@field socket? string Path of the server's socket on its host, when it is not where Debian has it.
---@field host? string Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
---@field port? integer TCP port of the server. Default 3306.

---@class mysql.user.args : StepOptions
---@field on Host Host of the server.
---@field name string Name of the account.
---@field host? string Where the account may log in from: a name, an address, or a pattern such as "%". To the server 127.0.0.1 and localhost are two. Default: localhost.
---@field state? "present"|"absent" Whether the account is to be there. Default: present.
---@field password? string|Secret Its password.
---@field password_hash? string|Secret Its password's hash instead, as SHOW GRANTS of another server shows it: * and 40 hexadecimal digits.
---@field grants? string[] All that the account may do: "SELECT ON mailserver.*", "ALL PRIVILEGES ON mailserver.* WITH GRANT OPTION". An empty list revokes everything; without the list nothing is granted or revoked.
---@field login? mysql.user.args.login How to log in to do this; otherwise as in mysql.query.

---@class mysql.user.result : StepResult
---@field exists boolean whether the account is there
---@field grants string[] what it may do, as SHOW GRANTS tells it between GRANT and TO
---@field before string[] the same before the step changed something
---@field server string version of the server

---Creates, grants and drops accounts of a MySQL or MariaDB server.
---
---The password is compared by its hash and reaches the server as its hash, so that it stands in no log. What the account may do is told in the words of SHOW GRANTS, and the list is complete: what is not in it is revoked.
---@param args mysql.user.args
---@return mysql.user.result
function mysql.user(args) end

---@class package.args : StepOptions
---@field on Host Host that has the packages.
---@field names string[] Names of packages. "name=version" demands a version, which may end with "*".
---@field state? "present"|"latest"|"absent"|"purged" What they are to be: installed in whatever version, in the latest, not installed, or gone with their configuration. Default: present.
---@field update? Duration How old apt's lists of packages may be: older ones are fetched anew first. Without it they are used as they are.
---@field start? boolean Whether the services of new packages are started. Without it, as Debian does; false keeps them off until a step starts them. Default: true.
---@field recommends? boolean Whether packages that they only recommend come along.
---@field allow_removal? boolean Whether other packages may be removed.
---@field preseed? string[] Answers to what packages ask, as debconf-set-selections(1) reads them.
---@field archived? boolean Whether packages come from archive.debian.org instead of the host's own sources.
---@field sources? string[] Lines of sources.list(5) that are used instead of the host's own, for this step.
---@field unsigned? boolean Whether packages are installed whose signature cannot be checked.

---@class package.result : StepResult
---@field versions table<string, any> the version of each package of names that is installed
---@field installed string[] packages that the step installed or upgraded, with versions
---@field removed string[] packages that it removed

---Installs, upgrades and removes Debian packages.
---
---What apt would do is found out first, and shown: which packages come along and in which version. When others would be removed the step fails, unless allow_removal says otherwise. Files of configuration that were changed on the host stay as they are.
---
---Releases that Debian does not serve any more (7 to 10, and older ones) are taken from archive.debian.org with archived = true: for this step alone, the host's own sources stay untouched. Their signatures are checked; where a key has expired since, apt refuses until unsigned = true.
---@param args package.args
---@return package.result
function package(args) end

---@class port_check.args : StepOptions
---@field on? Host Host from which the server is tried, through its connection. Without it the runner connects itself.
---@field address? string Name or address of the server. With on, that host itself (127.0.0.1) unless another one is named.
---@field open? integer[] Ports that must be open.
---@field closed? integer[] Ports that must not be: they may be closed or filtered.
---@field banner? boolean Whether the first line that a server says is read too. Not all say one.

---@class port_check.result : StepResult
---@field ports table<string, any> for each address and port, such as "192.0.2.1:25": "open", "closed" or "filtered"
---@field banners table<string, any> what the server says first at an open port

---Says which TCP ports of an address are open, closed or filtered.
---
---A port is open when it takes a connection, closed when the server refuses one, and filtered when nothing comes back. A name is tried at each of its addresses, IPv4 and IPv6, when the runner connects itself: one old address is enough to lose clients. An address to which this machine has no route is left out when there is another. To wait until a port is open there is [wait_for].
---@param args port_check.args
---@return port_check.result
function port_check(args) end

---@class postconf.args : StepOptions
---@field on Host Host whose Postfix it is.
---@field set? table<string, any> Parameters to set in main.cf, such as { soft_bounce = "yes" }. true and false are written as yes and no, a list with commas.
---@field unset? string[] Parameters to take out of main.cf, so that Postfix's own default holds again.
---@field get? string[] Parameters to read. Without set, unset and get every parameter that stands in main.cf is read.
---@field reload? boolean Whether a running Postfix is told to read its configuration again when something was changed.
---@field config_dir? string Folder of main.cf, for a host with more than one Postfix; as postconf -c.

---@class postconf.result : StepResult
---@field values table<string, string> the parameters of set, unset and get, or all that stand in main.cf, as they are now
---@field before table<string, string> those of set and unset that stood in main.cf, as they were
---@field absent string[] those of set and unset that did not stand in main.cf
---@field config_dir string folder of main.cf
---@field restart_needed boolean something was changed that a reload does not bring into effect (inet_interfaces, inet_protocols)

---Reads, sets and unsets parameters in Postfix's main.cf.
---
---A name that nothing in Postfix would ever read is refused. White space is compared as Postfix sees it. What was there before is returned and stands in the journal: r = postconf { … }, and later postconf { set = r.before, unset = r.absent }, goes back.
---@param args postconf.args
---@return postconf.result
function postconf(args) end

---@class postfix.flush.args : StepOptions
---@field on Host Host whose Postfix it is.
---@field wait? Duration How long to wait until every mail was tried. 0: do not wait. Default: 0s.

---@class postfix.flush.result : StepResult
---@field messages integer mails that are in the queue
---@field left integer mails that are still in it after wait

postfix = {}

---Has Postfix try to deliver its queue now.
---@param args postfix.flush.args
---@return postfix.flush.result
function postfix.flush(args) end

---@class postfix.forward.args : StepOptions
---@field on Host Old server.
---@field to? string New server as the old one finds it: a name, or an address. Its MX records are not asked. Needed unless state is "absent".
---@field port? integer Port of the new server. Default: 25.
---@field domains? string[] Only these domains; empty: every domain whose mailboxes are on the old server.
---@field keep_login? boolean Leave logging in for sending as it is, because the old server's Dovecot goes on.
---@field state? "present"|"absent" present: the mail is forwarded; absent: it is delivered on the old server again. Default: present.

---@class postfix.forward.result : StepResult
---@field before table<string, string> the settings that stood in main.cf, as they were
---@field absent string[] those that did not stand in main.cf
---@field transport string where the mail goes; empty with state = "absent"

---Has an old server pass on all mail to the new one.
---
---One setting does it: virtual_transport leads to the new server. The old one still knows which addresses there are, refuses others, and follows its aliases, so it never becomes an open relay or a source of bounces. Since Dovecot does not run there any more, which Postfix would ask for passwords, logging in for sending is switched off for as long: without that no mail would be taken on port 25 at all ("no SASL authentication mechanisms"). A frozen Postfix stays frozen; thaw it after this.
---
---With domains only these are forwarded: they get entries in a transport map of its own, which stands before those that are there (see transport(5)). The others go on being delivered on the old server, so logging in stays as it is; thaw Dovecot as well.
---
---To go back, call it again with state = "absent".
---@param args postfix.forward.args
---@return postfix.forward.result
function postfix.forward(args) end

---@class postfix.freeze.args : StepOptions
---@field on Host Host whose Postfix it is.
---@field wait? Duration How long the deliveries under way may take. When it is over the step fails; Postfix goes on delivering and takes no mail. Default: 5m.

---@class postfix.freeze.result : StepResult
---@field frozen boolean it takes no mail and does not run
---@field services string[] what takes mail from outside, as "smtp/inet"; empty when frozen
---@field queued integer mails that stay in its queue
---@field under_way integer mails that are being delivered

---Stops Postfix without cutting off a delivery.
---
---First it takes no more mail: in master.cf the services that listen on the network, and the one that picks up the mail of programs on the host, become comments, and Postfix reads that again. This works with every version and needs no memory elsewhere. What listens on the loopback address alone stays: a content filter brings mail back there. Then what is under way is delivered, and only then Postfix is stopped. (A stop or restart at once cuts deliveries off, and the mail is delivered again later, a second time.) Mail that waits for a later try stays in the queue. While Postfix is frozen, senders elsewhere keep their mail and try again.
---@param args postfix.freeze.args
---@return postfix.freeze.result
function postfix.freeze(args) end

---@class postfix.queue.args : StepOptions
---@field on Host Host whose Postfix it is.
---@field reasons? integer How many reasons are told at most. Default: 20.

---@class postfix.queue.result : StepResult
---@field messages integer mails in the queue
---@field bytes integer their size
---@field active integer those of them that are being delivered
---@field waiting integer those that wait for a later try
---@field hold integer those that somebody has put on hold
---@field maildrop integer mails of programs of the host that were not looked at yet; not among messages
---@field reasons table<string, any>[] why mails wait, the most frequent first: text, recipients (how many), example (one of them)

---Counts the mails in Postfix's queue and tells why they wait.
---@param args postfix.queue.args
---@return postfix.queue.result
function postfix.queue(args) end

---@class postfix.thaw.args : StepOptions
---@field on Host Host whose Postfix it is.
---@field wait? Duration How long the start may take. Default: 90s.

---@class postfix.thaw.result : StepResult
---@field frozen boolean whether it is frozen
---@field services string[] what takes mail from outside, as "smtp/inet"

---Lets a frozen Postfix take mail again.
---
---Exactly what postfix.freeze did is taken back; other changes of master.cf since then stay. Postfix is started if it ran before.
---@param args postfix.thaw.args
---@return postfix.thaw.result
function postfix.thaw(args) end

---@class postfix.watch.args : StepOptions
---@field on Host Host whose Postfix it is.
---@field time? Duration How long to look at most. Default: 10m.
---@field quiet? Duration How long nothing may have happened to end before. Default: 2m.
---@field log? string File of the log. Default: /var/log/mail.log.
---@field interval? Duration Time between two looks. Default: 5s.

---@class postfix.watch.result : StepResult
---@field quiet boolean whether it ended because nothing happened any more
---@field seconds integer how long it was looked at
---@field received integer mails taken
---@field rejected integer mails refused
---@field sent integer deliveries made
---@field deferred integer deliveries that failed and will be tried again
---@field bounced integer deliveries given up
---@field relays table<string, integer> deliveries made, by where they went ("dovecot", "mail-new.example.org")
---@field queue integer mails in the queue at the end
---@field last string the last line of the log about a mail

---Looks at Postfix's queue and log until nothing happens any more.
---
---The log is read from its end on; when it is rotated, the new file is read from its beginning. It ends as soon as nothing happened for the time of quiet, or when the time is over; an old server is done when no more mail comes to it.
---@param args postfix.watch.args
---@return postfix.watch.result
function postfix.watch(args) end

---@class put.args : StepOptions
---@field on Host Host that gets the file.
---@field source string Path on this machine. One that is not whole begins at the current folder.
---@field path string Whole path on the host.
---@field mode? string Permissions in octal. Without it those of the file that is there stay; a new one gets 0644.
---@field owner? string User who is to own it, by name or number.
---@field group? string Group that is to own it, by name or number.
---@field backup? boolean Whether what is overwritten is kept, as [file] does. Default: true.

---@class put.result : StepResult
---@field bytes integer length of the file
---@field sha256 string its SHA-256

---Copies a file from this machine to a host.
---
---The file is streamed beside its path, summed up on the host, and renamed over the path when the sums are equal: there is the old one or the new one at every moment, and never half of one. What is overwritten is copied first. A file that has the same SHA-256 is not sent.
---@param args put.args
---@return put.result
function put(args) end

---@class service.args : StepOptions
---@field on Host Host whose service it is.
---@field name string Name of the service as systemctl or /etc/init.d knows it: "postfix". On hosts with systemd also another unit, such as "backup.timer".
---@field state? "started"|"stopped"|"restarted"|"reloaded" What the service is to be. "started" and "stopped" do nothing when it is so already. "restarted" and "reloaded" are done each time; restarting starts a stopped service, reloading leaves a stopped one alone.
---@field enabled? boolean Whether the service is started when the host boots.
---@field wait? Duration How long to wait until the service is as it should be. Default: 90s.
---@field processes? string[] Programs of which no process may be left before the service counts as stopped: the name of a program ("imap"), its whole path, or a folder with a slash at its end ("/usr/lib/dovecot/": whatever program lies there). Dovecot under SysV init needs it: its imap processes go on accepting changes for half a minute after the service was stopped.
---@field kill_after? Duration How long such processes may take to end by themselves before they are sent SIGTERM. Default: 10s.
---@field pid_file? string File with the process number of the service, for an old init script that knows no "status" and keeps its file in an unusual place.

---@class service.result : StepResult
---@field name string the service as the init system knows it, aliases resolved
---@field running boolean whether it runs
---@field state string the state in the init system's own words
---@field pid integer its main process, where that is known
---@field enabled boolean whether it is started at boot

---Starts, stops, restarts, reloads and enables a service.
---
---A step ends when the service is what it should be, not when the init system was told: one that ends right after its start is a failure, and the error has the last lines that it logged. With systemd, a service that only stands for others (Debian's postfix.service) runs when those run; a socket that would start a stopped service again is stopped with it; a unit file that was changed is read again first; a start that was refused because of too many starts in a short time is tried once more. With SysV init, a script that knows no "status" is judged by its file with the process number or by the processes of its program.
---@param args service.args
---@return service.result
function service(args) end

---@class smtp_probe.args : StepOptions
---@field on? Host Host from which the server is tried, through its connection. Without it the runner connects itself.
---@field address? string Name or address of the server. With on, that host itself (127.0.0.1) unless another one is named.
---@field port? integer TCP port: 25, 587 or 465. Default: 25.
---@field tls? "auto"|"starttls"|"implicit"|"none" How the connection is encrypted: "starttls" on a connection that begins without, "implicit" from the first byte. "auto" is what belongs to the port. Default: auto.
---@field names? string[] Names that the certificate must be valid for.
---@field ca? string Certificates in PEM of authorities that are trusted beside those of this machine.
---@field trusted? boolean Whether the certificate must lead to an authority that this machine trusts. Mail servers among themselves do not ask for that.
---@field to? string Whom a marked mail is delivered to. Without it none is sent.
---@field from? string Sender of the mail on its envelope.
---@field mark? string The mark; without it one is made up.
---@field user? string User to log in as, as at port 587.
---@field password? string|Secret The password.
---@field outside? string An address elsewhere for which the server must not take mail. Default: relay-test@example.edu.
---@field relay? boolean Whether the question for a relay is asked. Without it, it is where the answer proves something.
---@field helo? string Name that this client gives itself. Without it the name of the machine that connects.

---@class smtp_probe.result : StepResult
---@field greeting string what the server says first
---@field relay string "refused", "not asked", or "not proven" when outside seems to be a domain of the server itself
---@field relay_reply string the words with which it was refused
---@field encrypted boolean whether the connection was encrypted
---@field certificate table<string, any> of the server, as of [tls_check]
---@field mark string the mark of the mail that was sent
---@field queue_id string what the mail is called in the queue of the server, where that says so
---@field reply string what the server said when it took the mail

---Delivers a marked mail and sees that an SMTP server relays for nobody.
---
---It always looks at the greeting, the encryption and the certificate, and asks whether the server would take a mail from outside to outside, without sending one: a server that says yes would be used for spam within hours. That question proves nothing from an address which the server itself trusts, so it is left out at 127.0.0.1 and after a login; ask from another host (on = old, address = ...).
---
---With to, a mail with a mark is delivered, each time; [imap_probe] finds it again by its mark. It has the null sender unless from is given, so that nobody gets a bounce of it. In check mode nothing is sent. The password is sent over an encrypted connection only, or within the host itself.
---@param args smtp_probe.args
---@return smtp_probe.result
function smtp_probe(args) end

---@class template.args : StepOptions
---@field on Host Host that gets the file.
---@field path string Whole path of the file on the host.
---@field source? string Path of the template on this machine. One that is not whole begins at the current folder.
---@field text? string The template itself, instead of a file.
---@field syntax? "go"|"plain" How values stand in it: "go" is Go's text/template ("{{ .name }}", "{{ range .domains }}"); in "plain" text only ${name} is replaced, and $${ stands for ${. Default: go.
---@field vars? table<string, any> The values.
---@field mode? string Permissions in octal. Without it those of the file stay; a new one gets 0644 (0600 when it holds a secret).
---@field owner? string User who is to own it, by name or number.
---@field group? string Group that is to own it, by name or number.
---@field backup? boolean Whether what is overwritten is kept, as [file] does. Default: true.

---@class template.result : StepResult
---@field path string the path, or where the link at the path leads
---@field exists boolean whether there is something
---@field mode string permissions in octal
---@field uid integer number of the owner
---@field gid integer number of the group
---@field size integer bytes

---Writes a file from a template on this machine.
---
---A template is a file on this machine, or a text of the recipe. It is written as [file] writes: whole or not at all, what was there is kept, and a value that is secret makes the whole file secret. A name without a value is an error.
---@param args template.args
---@return template.result
function template(args) end

---@class tls_check.args : StepOptions
---@field on? Host Host from which the server is tried, through its connection. Without it the runner connects itself.
---@field address? string Name or address of the server. With on, that host itself (127.0.0.1) unless another one is named.
---@field port? integer TCP port. Default: 443.
---@field tls? "auto"|"starttls"|"implicit"|"none" How the connection is encrypted: "starttls" on a connection that begins without, "implicit" from the first byte. "auto" is what belongs to the port. Default: auto.
---@field names? string[] Names that the certificate must be valid for.
---@field ca? string Certificates in PEM of authorities that are trusted beside those of this machine.
---@field protocol? "auto"|"smtp"|"imap"|"pop3"|"sieve" What is spoken before STARTTLS. "auto" is what belongs to the port. Default: auto.
---@field valid_for? Duration How long the certificate must still be valid. Default: 7d.
---@field trusted? boolean Whether it must lead to an authority that this machine trusts. Default: true.
---@field min_version? "1.0"|"1.1"|"1.2"|"1.3" The oldest version of TLS that will do. Default: 1.2.

---@class tls_check.result : StepResult
---@field subject string whom the certificate is for
---@field issuer string who signed it
---@field names string[] names and addresses that it is valid for
---@field chain string[] the subjects of all certificates that the server sends
---@field not_before string from when it is valid, in UTC
---@field not_after string until when
---@field days_left integer whole days until then
---@field trusted boolean whether it leads to an authority that is trusted
---@field untrusted string why not
---@field tls_version string such as "1.3"
---@field cipher string what the connection is encrypted with

---Checks the certificate of a server: authority, names, expiry.
---
---The certificate must be valid now and for a while, lead to an authority that this machine trusts with what the server itself sends in between, and be valid for every name by which clients reach the server. All that is wrong is told at once. Servers that know nothing newer than TLS 1.0 are looked at too, and then fail by min_version.
---@param args tls_check.args
---@return tls_check.result
function tls_check(args) end

---@class tree_sync.args : StepOptions
---@field from Host Host that the files come from.
---@field to Host Host that they go to. It may be the host that runner itself runs on, which is the fastest way.
---@field path string Whole path of the directory on from.
---@field target? string The same on to; path when it is not given. The folder that it lies in must be there.
---@field exclude? string[] What to leave out on both sides, as shell patterns: "*.log" anywhere, "shop/cache" below path.
---@field delete? boolean Put aside what from does not have.
---@field max_delete? integer|string How many files delete may put aside: a number, or a share of those on the target ("5%", the default).
---@field owner? string Owner of everything on to, "user" or "user:group". When it is not given: whoever has the same name there.
---@field rate? Size The most bytes a second that are read from from, such as "20M". 0: no limit.

---@class tree_sync.result : StepResult
---@field files integer files on from
---@field bytes integer their size
---@field copied integer files that were sent
---@field copied_bytes integer their size
---@field linked integer further names that were given, and symbolic links
---@field removed integer files that were put aside
---@field quarantine string the directory where they are now
---@field extra integer files that only to has and that stay
---@field vanished integer files that had gone when they were to be read
---@field left string[] what stays behind, and why; the first 20

---Copies a directory tree to another host.
---
---Files are compared by size and time and sent whole, by the same machinery as [maildir_sync]: a file becomes visible whole or not at all, a pass that was broken off is gone on with by the next, and nothing that the old host sends is trusted. Owners are those of the same names on the new host; modes, times, symbolic links and further names of a file (hard links) are kept. Nothing is removed unless delete says so, and then it is put aside beside the target (/var/www.quarantine-DATE), up to max_delete. Other file systems mounted below path, sockets and devices stay behind.
---
---A file of the same size and time is taken for equal. The old host needs find and tar of GNU, no older than Debian 5's; the new one perl-base, unless runner runs there itself.
---@class tree_sync
---@overload fun(args: tree_sync.args): tree_sync.result
tree_sync = {}

---@class tree_sync.verify.args : StepOptions
---@field from Host Host that the files come from.
---@field to Host Host that they went to.
---@field path string Whole path of the directory on from.
---@field target? string The same on to; path when it is not given.
---@field exclude? string[] What is left out on both sides, as for tree_sync.
---@field owner? string Owner of everything on to, as for tree_sync.

---@class tree_sync.verify.result : StepResult
---@field files integer files compared
---@field bytes integer their size

---Compares a directory tree on two hosts, content too.
---
---Compared are all files, folders and links with owner, mode and time, and the content of every file, by a SHA-256 that each host computes at the same time; that takes as long as reading all files. [tree_sync] itself takes a file of the same size and time for equal. A difference fails the step, and the first twenty are named.
---@param args tree_sync.verify.args
---@return tree_sync.verify.result
function tree_sync.verify(args) end

---@class user.args : StepOptions
---@field on Host Host that has the user.
---@field name string Name of the user.
---@field state? "present"|"absent" What is to be there. Default: present.
---@field uid? integer Number of the user.
---@field group? string The user's own group, by name or number. It must be there. Without it a new user gets a group of the same name.
---@field groups? string[] More groups that the user is to be in.
---@field home? string Home folder. Its content is not moved when it changes.
---@field shell? string Program that is run at a login.
---@field comment? string Name of the person, or what the user is for.
---@field system? boolean Whether a new user gets a number of those for services, and no home folder.
---@field create_home? boolean Whether the home folder of a new user is made. Without it, it is for users that are not system users.
---@field password_hash? string|Secret The password as crypt(3) stores it ("$6$…"), or "!" for none.
---@field remove_home? boolean Whether the home folder and the mail spool of a user that is removed go too.

---@class user.result : StepResult
---@field exists boolean whether there is such a user
---@field uid integer number
---@field gid integer number of the user's own group
---@field groups string[] all groups of the user
---@field home string home folder
---@field shell string program that is run at a login

---Makes, changes and removes a user.
---
---What is not given stays as it is. A user is taken out of no group: groups are added. When a user gets another number, usermod gives the files of the home folder to it, and no others.
---@param args user.args
---@return user.result
function user(args) end

---@class wait_for.args : StepOptions
---@field on? Host Host that is looked at: its files, its commands, and the ports as it sees them. Without it the runner itself connects to the port.
---@field port? integer TCP port to connect to.
---@field address? string Name or address to connect to. With on, the host itself unless another one is named.
---@field path? string Path of a file or folder.
---@field command? string[] Program with its arguments that looks, changes nothing, and ends with status 0 when it is so. It is run again and again.
---@field state? "present"|"absent"|"open"|"closed" What to wait for: a port that is "open" or "closed", a path or a success of the command that is "present" or "absent". Without it "open" or "present".
---@field contains? string Text that the port must say first, that must be in the file or in what the command prints.
---@field wait? Duration How long to wait. Default: 30s.
---@field interval? Duration Time between two looks. Default: 1s.

---Waits until a port answers, a file is there or a command succeeds.
---
---The step looks once, and when it is not so again and again; it never changes anything. In check mode it only looks.
---@param args wait_for.args
---@return AnyResult
function wait_for(args) end
