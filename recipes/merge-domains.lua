-- Brings several old mail servers into one new server, which may serve domains of its own already.
--
-- Each old server is an ISPmail server as in wheezy-jessie.lua, with domains that no other has. Accounts and aliases are matched by
-- their names; what two servers both claim stops the recipe and is shown, days before anything stands still.
--
--   site.lua: return { hosts = { new = …, berlin = …, paris = … }, groups = { olds = { "berlin", "paris" } }, params = { … } }
--
--   runner recipes/merge-domains.lua --phase prepare     copy, while the old servers go on; on as many days as you like
--   runner recipes/merge-domains.lua                     all that is left to do; asks before what matters
--   runner undo                                          until the new server has taken over: the old ones serve again

recipe {
  name   = "Merge mail servers",
  help   = "Brings the domains of several ISPmail servers into one.",
  hosts  = { new = "serves all of them afterwards" },
  groups = { olds = "the servers that are merged" },
  params = {
    mx         = { type = "string", required = true, help = "name of the new server, as the MX records will have it" },
    database   = { default = "mailserver", help = "control database, on all servers" },
    vmail      = { default = "/var/vmail", help = "root of all mailboxes, on all servers" },
    max_delete = { default = "5%", help = "most messages that the last pass may take away of an old server's domains" },
    downtime   = { default = "20s", help = "copy again before the cut-over until the last pass is forecast to take no longer" },
    resolver   = { default = "", help = "name server to ask instead of the system's" },
    dns_wait   = { default = "2h", help = "how long to wait for the new MX records" },
    backups    = { default = "/var/backups/runner", help = "where the last backup of each old server goes, on that server" },
  },
}

local new, olds = hosts.new, groups.olds
local trial = params.database .. "_trial"

-- Where the accounts of an old server wait until the new server takes over.
local function staged(old) return params.database .. "_" .. old.name:gsub("%W", "_") end

local marked_password = {
  type  = "varchar(150) NOT NULL",
  value = "CASE WHEN password REGEXP '^[0-9a-fA-F]{32}$' THEN CONCAT('{PLAIN-MD5}', password) ELSE password END",
}

local known = {} -- domains of each old server, once they were asked for
local function domains(old)
  if known[old.name] then return known[old.name] end
  local list = {}
  for _, row in ipairs(mysql.query { on = old, database = params.database, title = "domains of " .. old.name,
    sql = "SELECT DISTINCT LOWER(name) AS name FROM virtual_domains ORDER BY 1" }.rows) do list[#list + 1] = row.name end
  if #list == 0 then fail("there is no domain in " .. params.database .. " on " .. old.name) end
  known[old.name] = list
  return list
end

local function all_domains()
  local list = {}
  for _, old in ipairs(olds) do
    for _, domain in ipairs(domains(old)) do list[#list + 1] = domain end
  end
  return list
end

-- After the cut-over the new server is the one that counts: nothing may be copied over it any more.
local function moved()
  local state = maildir_sync.status { on = new, target = params.vmail }
  for _, domain in ipairs(all_domains()) do
    if not (state.live or state.domains[domain]) then return false end
  end
  return "the new server has taken over"
end

local function copy_accounts(old)
  mysql.copy { from = old, to = new, database = params.database, target_database = staged(old),
               columns = { ["virtual_users.password"] = marked_password } }
end

local function copy_mails(old, mode)
  return maildir_sync { from = old, to = new, path = params.vmail, domains = domains(old), mode = mode, max_delete = params.max_delete }
end

-- Whatever two servers both claim, an alias for a mailbox of another server, and all else that would lose mail, is an error here.
local function merge_into(database, backup)
  for _, old in ipairs(olds) do
    mysql.merge { on = new, from_database = staged(old), database = database, prune = true, backup = backup }
  end
end

----------------------------------------------------------------------------------------------------------------------
phase("check", { title = "look at all servers, change nothing" })

task("See that no domain is on two servers", { unless = moved }, function()
  local owner = {}
  for _, row in ipairs(mysql.query { on = new, database = params.database, title = "domains of the new server",
    sql = "SELECT LOWER(name) AS name FROM virtual_domains" }.rows) do owner[row.name] = "the new server" end
  for _, old in ipairs(olds) do
    for _, domain in ipairs(domains(old)) do
      if owner[domain] then fail(domain .. " is on " .. old.name .. " and on " .. owner[domain] .. "; decide which of them has it") end
      owner[domain] = old.name
    end
  end
end)

task("See that there is room", { unless = moved }, function()
  local need = 0
  for _, old in ipairs(olds) do
    need = need + tonumber(command { on = old, argv = { "du", "-slk", params.vmail }, reads = true, ok = { 0, 1 }, title = "size of the mailboxes" }.stdout:match("^%d+"))
  end
  local free = command { on = new, argv = { "df", "-Pk", params.vmail }, reads = true, title = "free space" }
  local have = tonumber(free.lines[2]:match("%s%d+%s+%d+%s+(%d+)"))
  if need * 1.1 > have then fail(("the mailboxes need %d MiB and the new server has %d MiB free"):format(need / 1024, have / 1024)) end
end)

----------------------------------------------------------------------------------------------------------------------
phase("prepare", { title = "copy while the old servers go on; run it as often as you like" })

task("Copy the accounts", { unless = moved }, function()
  mysql.column { on = new, database = params.database, table = "virtual_users", column = "password", type = marked_password.type }
  for _, old in ipairs(olds) do copy_accounts(old) end
end)

task("See that the accounts fit together", { unless = moved }, function()
  mysql.copy { from = new, to = new, database = params.database, target_database = trial, backup = false } -- lint: it is thrown away below
  merge_into(trial, false)
  mysql.database { on = new, name = trial, state = "absent", backup = false } -- lint: this recipe made it
end)

task("Copy the mails", { unless = moved }, function()
  for _, old in ipairs(olds) do
    maildir_sync.converge { from = old, to = new, path = params.vmail, domains = domains(old), ["until"] = params.downtime }
  end
end)

----------------------------------------------------------------------------------------------------------------------
phase("cutover", {
  title = "the old servers stop, the new one takes over",
  gate  = "All old servers stop now, until the last mails are copied and compared. Until the new server has taken over `runner undo` "
    .. "lets them go on. Did you tell your users?",
})

-- Whatever is wrong with the new server then costs a delay and not a mail.
task("Spread the safety net", { unless = moved, undo = function()
  postconf { on = new, set = { soft_bounce = "no" }, reload = true }
end }, function()
  postconf { on = new, set = { soft_bounce = "yes" }, reload = true }
end)

task("Freeze the old servers", { unless = moved, undo = function()
  each(olds, function(old)
    dovecot.thaw { on = old }
    postfix.thaw { on = old }
  end)
end }, function()
  each(olds, function(old)
    postfix.freeze { on = old }
    dovecot.freeze { on = old, path = params.vmail }
  end)
end)

task("Copy the last changes", { unless = moved }, function()
  for _, old in ipairs(olds) do
    copy_accounts(old)
    copy_mails(old, "final")
  end
end)

task("Compare with each old server", { unless = moved }, function()
  for _, old in ipairs(olds) do
    maildir_sync.verify { from = old, to = new, path = params.vmail, domains = domains(old) }
  end
end)

task("Let the new server take over", { unless = moved, undo = function()
  if moved() then fail("the new server has taken over and may have mail that the old ones have not") end
end }, function()
  merge_into(params.database, true)
  maildir_sync.live { on = new, target = params.vmail, domains = all_domains() }
end)

task("Let the old servers forward", function()
  for _, old in ipairs(olds) do
    postfix.forward { on = old, to = params.mx }
    postfix.thaw { on = old }
  end
end)

task("See that Dovecot knows every account", function()
  dovecot.accounts { on = new, database = params.database, path = params.vmail, domains = all_domains() }
end)

----------------------------------------------------------------------------------------------------------------------
phase("watch", { title = "the MX records change" })

task("Switch the MX records", function()
  say("These domains get the MX record " .. params.mx .. " now, where you keep their zones:")
  for _, domain in ipairs(all_domains()) do say(("  %s MX 10 %s."):format(domain .. ".", params.mx)) end
  dns_check { domains = all_domains(), mx = params.mx, wait = params.dns_wait, resolver = params.resolver }
end)

----------------------------------------------------------------------------------------------------------------------
phase("finish", {
  title = "some days later",
  gate  = "Mail that cannot be delivered bounces again from now on, and the old servers are backed up. Is the queue of the new one clean?",
})

task("Fetch what still reached the old servers", function()
  for _, old in ipairs(olds) do copy_mails(old, "late") end
end)

task("Take the safety net away", function()
  postconf { on = new, set = { soft_bounce = "no" }, reload = true }
end)

task("Back up the old servers", function()
  for _, old in ipairs(olds) do
    file { on = old, path = params.backups, state = "directory", mode = "0700" }
    archive { from = old, path = params.backups .. "/last-of-" .. old.name .. ".tar.gz", paths = { "/etc", params.vmail } }
    local dump = params.backups .. "/last-of-" .. params.database .. ".sql.gz"
    if command { on = old, argv = { "test", "-s", dump }, reads = true, ok = { 0, 1 }, title = "dump" }.status ~= 0 then
      mysql.dump { on = old, database = params.database, path = dump }
    end
    mysql.database { on = new, name = staged(old), state = "absent", backup = false } -- lint: this recipe made it
  end
end)
