-- Moves a live mail server (Postfix, Dovecot, MySQL: the ISPmail set-up) from an old Debian host to a new one.
--
-- The new server was installed by the guide and works; this moves the accounts and the mails. Users notice nothing until the
-- phase "cutover", and that takes about as long as copying the mail of the last few minutes. Everything can be run twice.
--
--   runner --check recipes/wheezy-jessie.lua                 what would happen
--   runner recipes/wheezy-jessie.lua --phase prepare         copy, while the old server goes on; on as many days as you like
--   runner recipes/wheezy-jessie.lua                         all that is left to do; asks before what matters
--   runner undo                                              the old server serves again, with what reached the new one

recipe {
  name  = "Wheezy to Jessie mail server",
  help  = "Moves accounts and mails of an ISPmail server to a new host.",
  hosts = {
    old = "serves mail today",
    new = "freshly installed by the guide",
  },
  params = {
    mx         = { type = "string", required = true, help = "name of the new server, as the MX records will have it" },
    domains    = { type = "list", default = {}, help = "only these; empty: every domain of the old server" },
    database   = { default = "mailserver", help = "control database, on both servers" },
    vmail      = { default = "/var/vmail", help = "root of all mailboxes, on both servers" },
    max_delete = { default = "5%", help = "most messages that the last pass may take away on the new server" },
    downtime   = { default = "20s", help = "copy again before the cut-over until the last pass is forecast to take no longer" },
    resolver   = { default = "", help = "name server to ask instead of the system's" },
    dns_wait   = { default = "2h", help = "how long to wait for the new MX records" },
    watch      = { default = "10m", help = "how long to look at the logs after the switch, if mail keeps coming" },
    backups    = { default = "/var/backups/runner", help = "where the last backup of the old server goes, on that server" },
  },
}

local old, new = hosts.old, hosts.new
local move = {} -- what a recipe that extends this one uses, or has in another way: local stock = extend "wheezy-jessie"

-- Where the old accounts wait until the new server takes over. Its own accounts are not touched by that, and until then it knows
-- nothing of the domains that move: it cannot take their mail by accident.
local staged = params.database .. "_moving"

-- The old tables hold bare MD5 hashes; the new Dovecot expects SHA256 unless a hash says what it is. Only a bare hash gets the
-- prefix, so a password that was marked, or changed to a better scheme, stays what it is.
local marked_password = {
  type  = "varchar(150) NOT NULL",
  value = "CASE WHEN password REGEXP '^[0-9a-fA-F]{32}$' THEN CONCAT('{PLAIN-MD5}', password) ELSE password END",
}

local function ask_database(host, title, sql)
  return mysql.query { on = host, database = params.database, title = title, sql = sql }
end

local list -- of the domains, once it is known
local function domains()
  if #params.domains > 0 then return params.domains end
  if list then return list end
  list = {}
  for _, row in ipairs(ask_database(old, "domains of the old server",
    "SELECT DISTINCT LOWER(name) AS name FROM virtual_domains ORDER BY 1").rows) do list[#list + 1] = row.name end
  if #list == 0 then fail("there is no domain in " .. params.database .. " on the old server") end
  return list
end

-- The domains that stay, when only some of them move.
local function staying()
  if #params.domains == 0 then return {} end
  local moving, stay = {}, {}
  for _, domain in ipairs(params.domains) do moving[domain:lower()] = true end
  for _, row in ipairs(ask_database(old, "domains that stay", "SELECT DISTINCT LOWER(name) AS name FROM virtual_domains ORDER BY 1").rows) do
    if not moving[row.name] then stay[#stay + 1] = row.name end
  end
  return stay
end

-- After the cut-over the new server is the one that counts: nothing may be copied over it any more.
local function moved()
  local state = maildir_sync.status { on = new, target = params.vmail }
  for _, domain in ipairs(domains()) do
    if not (state.live or state.domains[domain]) then return false end
  end
  return "the new server has taken over"
end

function move.copy_accounts()
  mysql.copy { from = old, to = new, database = params.database, target_database = staged,
               columns = { ["virtual_users.password"] = marked_password } }
end

-- What the new server calls the old one.
function move.old_name()
  return postconf { on = old, get = { "myhostname" }, title = "name of the old server" }.values.myhostname
end

function move.mailboxes() return { from = old, to = new, path = params.vmail, domains = domains() } end

local function mailboxes(more)
  for key, value in pairs(move.mailboxes()) do more[key] = value end
  return more
end

-- The way back: what reached the new server goes to the old one. nil: there is none.
function move.way_back() return { from = new, to = old, path = params.vmail, domains = domains(), mode = "reverse" } end

local function copy_mails(mode)
  return maildir_sync(mailboxes { mode = mode, max_delete = params.max_delete })
end

move.domains, move.moved, move.copy_mails = domains, moved, copy_mails

----------------------------------------------------------------------------------------------------------------------
phase("check", { title = "look at both servers, change nothing" })

task("See that the old server can be moved", function()
  local unknown = ask_database(old, "accounts with an unknown password scheme",
    "SELECT email FROM virtual_users WHERE password NOT REGEXP '^[0-9a-fA-F]{32}$' AND password NOT LIKE '{%}%' AND password NOT LIKE '$%'")
  if unknown.count > 0 then
    fail(unknown.count .. " accounts have a password that Dovecot will not know what to do with, such as " .. unknown.first.email)
  end
  local twice = ask_database(old, "domains that are there twice",
    "SELECT LOWER(name) AS name FROM virtual_domains GROUP BY LOWER(name) HAVING COUNT(*) > 1")
  if twice.count > 0 then fail("the domain " .. twice.first.name .. " is in virtual_domains twice; join the two first") end
  command { on = old, argv = { "test", "-d", params.vmail }, reads = true, title = "mailboxes in " .. params.vmail }
end)

task("See that the new server is ready", { unless = moved }, function()
  ask_database(new, "control database", "SELECT COUNT(*) AS users FROM virtual_users")
  command { on = new, argv = { "id", "-u", "vmail" }, reads = true, title = "user vmail" }
  local at_home = postconf { on = new, get = { "mydestination" }, title = "domains that are not virtual" }.values.mydestination
  for _, domain in ipairs(domains()) do
    if (" " .. at_home:gsub("[,%s]+", " ") .. " "):find(" " .. domain .. " ", 1, true) then
      fail(domain .. " is in mydestination on the new server: its mail would go to local users, not to the mailboxes")
    end
  end
  port_check { on = new, open = { 25, 143 } }
end)

task("See that there is room", { unless = moved }, function()
  -- -l: a mail with two links counts twice, as it may on the new server. Status 1: a file went while du looked.
  local used = command { on = old, argv = { "du", "-slk", move.mailboxes().path }, reads = true, ok = { 0, 1 }, title = "size of the mailboxes" }
  local files = command { on = old, argv = { "sh", "-c", 'find "$1" | wc -l', "sh", move.mailboxes().path }, reads = true, title = "number of files" }
  local free = command { on = new, argv = { "df", "-Pk", params.vmail }, reads = true, title = "free space" }
  local inodes = command { on = new, argv = { "df", "-Pi", params.vmail }, reads = true, title = "free inodes" }
  local function available(df) return tonumber(df.lines[2]:match("%s%d+%s+%d+%s+(%d+)")) end
  local need, have = tonumber(used.stdout:match("^%d+")) * 1.1, available(free)
  if need > have then fail(("the mailboxes need %d MiB and the new server has %d MiB free"):format(need / 1024, have / 1024)) end
  need, have = tonumber(files.stdout) * 1.1, available(inodes) -- no number: a file system that makes inodes as it needs them
  if have and have > 0 and need > have then fail(("the mailboxes have %d files and the new server has %d inodes free"):format(need, have)) end
end)

task("Compare the clocks", function()
  local apart = math.abs(facts { on = old }.skew_seconds - facts { on = new }.skew_seconds)
  if apart > 30 then say(("The clocks of the two servers are %d seconds apart. Set them right: logs and mails will be compared."):format(apart)) end
end)

task("Look at the MX records", { unless = moved }, function()
  local ttl = 0
  for name, zone in pairs(dns_check { domains = domains(), resolver = params.resolver }.domains) do
    if #zone.mx == 0 then say(name .. " has no MX record.") end
    ttl = math.max(ttl, zone.ttl or 0)
  end
  if ttl > 300 then
    say(("Others may remember the MX records for %d minutes. Lower their TTL to 60 seconds now, and cut over after that time."):format(ttl / 60))
  end
end)

----------------------------------------------------------------------------------------------------------------------
phase("prepare", { title = "copy while the old server goes on; run it as often as you like" })

task("Copy the accounts", { unless = moved }, function()
  mysql.column { on = new, database = params.database, table = "virtual_users", column = "password", type = marked_password.type }
  move.copy_accounts()
end)

task("Copy the mails", { unless = moved }, function()
  local copied = maildir_sync.converge(mailboxes { ["until"] = params.downtime })
  saved.last_pass = math.ceil(copied.next_pass_seconds)
end)

----------------------------------------------------------------------------------------------------------------------
phase("rehearse", { title = "try the new server before anybody depends on it" })

-- It is asked by the old server, since to itself it would relay anything.
task("Talk to the new server", { unless = moved }, function()
  smtp_probe { on = old, address = params.mx }
  tls_check { on = new, port = 143, trusted = false }
end)

-- Whatever is wrong with the new server then costs a delay and not a mail: what would bounce waits in its queue.
task("Spread the safety net", { unless = moved, undo = function()
  postconf { on = new, set = { soft_bounce = "no" }, reload = true }
end }, function()
  postconf { on = new, set = { soft_bounce = "yes" }, reload = true }
end)

----------------------------------------------------------------------------------------------------------------------
phase("cutover", {
  title = "the old server stops, the new one takes over",
  gate  = function()
    return "The old server stops now. Accounts and the last mails are copied and compared, then the new server takes over: "
      .. (saved.last_pass and ("nobody gets or reads mail for about %d seconds. "):format(saved.last_pass + 5) or "the copy has not been timed yet. ")
      .. "Until it has taken over `runner undo` costs nothing; later it brings the new mails back. Did you tell your users?"
  end,
})

-- A delivery that is cut off is made again later, and the mail is there twice. A Dovecot that was only told to stop lets users
-- change mailboxes for half a minute more. So both are told to stop, and waited for.
task("Freeze the old server", { unless = moved, undo = function()
  dovecot.thaw { on = old }
  postfix.thaw { on = old }
end }, function()
  postfix.freeze { on = old }
  dovecot.freeze { on = old, path = move.mailboxes().path }
end)

task("Copy the last changes", { unless = moved }, function()
  move.copy_accounts()
  copy_mails("final")
end)

task("Compare both servers", { unless = moved }, function()
  maildir_sync.verify(mailboxes {})
end)

-- Going back, the new server gives the old one the mail that it has got, and passes on what still comes. The mark goes last: an undo that
-- was broken off begins here again.
task("Let the new server take over", { undo = function()
  if not moved() then return end
  local back = move.way_back()
  if not back then fail("the new server has taken over and may have mail that the old one has not, and there is no way back from here") end
  postfix.freeze { on = new }
  dovecot.freeze { on = new, path = params.vmail }
  maildir_sync(back)
  postfix.forward { on = new, to = move.old_name(), domains = domains() }
  dovecot.thaw { on = new }
  postfix.thaw { on = new }
  maildir_sync.live { on = new, target = params.vmail, domains = domains(), state = "absent" }
  say("The mails that had reached the new server are on the old one. Passwords that were changed meanwhile are the old ones again, and "
    .. "older mails are in their old folders with their old flags.")
end }, function()
  postfix.forward { on = new, state = "absent" } -- from a night when it did not go well
  if not moved() then
    mysql.merge { on = new, from_database = staged, database = params.database, domains = params.domains, prune = true, backup = true }
    maildir_sync.live { on = new, target = params.vmail, domains = domains() }
  end
  service { on = new, name = "dovecot", state = "started", enabled = true }
  service { on = new, name = "postfix", state = "started", enabled = true }
end)

-- Until all the world has seen the new MX records mail still comes to the old server. It passes it on at once. Domains that stay go
-- on being served there: Dovecot is started before Postfix, which delivers to it and asks it for passwords.
task("Let the old server forward", { undo = function()
  if not moved() then return end
  postfix.freeze { on = old } -- until the mail of the new server is here; thawed when the freeze is undone
  dovecot.freeze { on = old, path = move.mailboxes().path }
  postfix.forward { on = old, state = "absent" }
end }, function()
  local stay = staying()
  postfix.forward { on = old, to = params.mx, domains = #stay > 0 and params.domains or {} }
  if #stay > 0 then
    dovecot.thaw { on = old }
    say("The old server goes on with " .. table.concat(stay, ", ") .. ". Users of the domains that moved can still log in there, "
      .. "and what they change there stays there: have them change the server in their mail programs now.")
  end
  postfix.thaw { on = old }
end)

task("See that Dovecot knows every account", function()
  dovecot.accounts { on = new, database = params.database, path = params.vmail, domains = domains() }
end)

----------------------------------------------------------------------------------------------------------------------
phase("watch", { title = "the MX records change" })

task("Switch the MX records", { undo = function()
  say("Give these domains their old MX records again: " .. table.concat(domains(), ", "))
end }, function()
  say("These domains get the MX record " .. params.mx .. " now, where you keep their zones:")
  for _, domain in ipairs(domains()) do say(("  %s MX 10 %s."):format(domain .. ".", params.mx)) end
  dns_check { domains = domains(), mx = params.mx, wait = params.dns_wait, resolver = params.resolver }
end)

task("Watch the mail", function()
  local seen = postfix.watch { on = new, time = params.watch, quiet = "5s" }
  say(("The new server took %d mails, delivered %d and put off %d; %d wait in its queue."):format(seen.received, seen.sent, seen.deferred, seen.queue))
end)

----------------------------------------------------------------------------------------------------------------------
phase("finish", {
  title = "some days later",
  gate  = "Mail that cannot be delivered bounces again from now on, the old server is backed up, and what waited on the new one for the "
    .. "move is removed. This can wait for days. Does mail come in and go out, and is the queue of the new server clean?",
})

task("Fetch what still reached the old server", function()
  local late = copy_mails("late")
  if late.copied > 0 then say(("%d mails had still been delivered on the old server. They are on the new one now."):format(late.copied)) end
end)

task("Take the safety net away", function()
  postconf { on = new, set = { soft_bounce = "no" }, reload = true }
end)

task("Back up the old server", function()
  file { on = old, path = params.backups, state = "directory", mode = "0700" }
  archive { from = old, path = params.backups .. "/last-of-the-old-server.tar.gz", paths = { "/etc", move.mailboxes().path } }
  local dump = params.backups .. "/last-of-" .. params.database .. ".sql.gz"
  if command { on = old, argv = { "test", "-s", dump }, reads = true, ok = { 0, 1 }, title = "dump" }.status ~= 0 then
    mysql.dump { on = old, database = params.database, path = dump }
  end
end)

task("Tidy up", function()
  mysql.database { on = new, name = staged, state = "absent", backup = false } -- lint: this recipe made it
  local left = postfix.queue { on = old }.messages
  if left > 0 then say(("%d mails wait in the queue of the old server (postqueue -p); let it run until they are gone."):format(left)) end
  local stay = staying()
  say("The last backup of the old server is in " .. params.backups .. " there. Copy it elsewhere"
    .. (#stay == 0 and "; then the old server may be powered off." or ". The old server still serves " .. table.concat(stay, ", ") .. "."))
end)

return move
