-- Moves a live mail server (Postfix, Dovecot, MySQL: the ISPmail set-up) from an old Debian host to a new one.
--
-- The new server was installed by the guide and works; this moves the accounts and the mails. Nobody is cut off until the
-- phase "cutover", and that takes about as long as the last few minutes' mail takes to copy. Everything can be run twice.
--
--   runner --check recipes/wheezy-jessie.lua     what would happen
--   runner recipes/wheezy-jessie.lua             goes on with the next phase, and asks before the ones that matter
--   runner undo                                  after the freeze: the old server serves again

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
    resolver   = { default = "", help = "name server to ask instead of the system's" },
    dns_wait   = { default = "2h", help = "how long to wait for the new MX records" },
    backups    = { default = "/var/backups/runner", help = "where the last backup of the old server goes, on that server" },
  },
}

local old, new = hosts.old, hosts.new

-- Where the old accounts wait until the new server takes over. Its own accounts are not touched by that.
local staged = params.database .. "_moving"

-- The old tables hold bare MD5 hashes; the new Dovecot expects SHA256 unless a hash says what it is. Only a bare hash gets the
-- prefix, so a password that was marked, or changed to a better scheme, stays what it is.
local marked_password = {
  type  = "varchar(150) NOT NULL",
  value = "CASE WHEN password REGEXP '^[0-9a-fA-F]{32}$' THEN CONCAT('{PLAIN-MD5}', password) ELSE password END",
}

local list -- of the domains, once it is known
local function domains()
  if #params.domains > 0 then return params.domains end
  if list then return list end
  list = {}
  local found = mysql.query { on = old, database = params.database, title = "domains of the old server",
                              sql = "SELECT DISTINCT LOWER(name) AS name FROM virtual_domains ORDER BY 1" }
  for _, row in ipairs(found.rows) do list[#list + 1] = row.name end
  if #list == 0 then fail("there is no domain in " .. params.database .. " on the old server") end
  return list
end

-- After the cut-over the new server is the one that counts: nothing may be copied over it any more.
local function moved()
  local state = maildir_sync.status { on = new, target = params.vmail }
  for _, domain in ipairs(domains()) do
    if not (state.live or state.domains[domain]) then return false end
  end
  return "the new server has taken over"
end

local function copy_accounts()
  mysql.copy { from = old, to = new, database = params.database, target_database = staged,
               columns = { ["virtual_users.password"] = marked_password } }
end

local function copy_mails(mode)
  return maildir_sync { from = old, to = new, path = params.vmail, domains = domains(), mode = mode,
                        max_delete = params.max_delete }
end

----------------------------------------------------------------------------------------------------------------------
phase("check", { title = "look at both servers, change nothing" })

task("See that the old server can be moved", function()
  local found = mysql.query { on = old, database = params.database, title = "accounts with an unknown password scheme",
    sql = "SELECT email FROM virtual_users WHERE password NOT REGEXP '^[0-9a-fA-F]{32}$' AND password NOT LIKE '{%}%' AND password NOT LIKE '$%'" }
  if found.count > 0 then
    fail(found.count .. " accounts have a password that Dovecot will not know what to do with, such as " .. found.first.email)
  end
  found = mysql.query { on = old, database = params.database, title = "domains that are there twice",
    sql = "SELECT LOWER(name) AS name FROM virtual_domains GROUP BY LOWER(name) HAVING COUNT(*) > 1" }
  if found.count > 0 then fail("the domain " .. found.first.name .. " is in virtual_domains twice; join the two first") end
  command { on = old, argv = { "test", "-d", params.vmail }, reads = true, title = "mailboxes in " .. params.vmail }
end)

task("See that the new server is ready", function()
  mysql.query { on = new, database = params.database, title = "control database", sql = "SELECT COUNT(*) AS users FROM virtual_users" }
  command { on = new, argv = { "id", "-u", "vmail" }, reads = true, title = "user vmail" }
  local at_home = command { on = new, argv = { "postconf", "-h", "mydestination" }, reads = true, title = "domains that are not virtual" }
  for _, domain in ipairs(domains()) do
    if (" " .. at_home.stdout:gsub("[,%s]+", " ") .. " "):find(" " .. domain .. " ", 1, true) then
      fail(domain .. " is in mydestination on the new server: its mail would go to local users, not to the mailboxes")
    end
  end
end)

task("See that there is room", function()
  local used = command { on = old, argv = { "du", "-slk", params.vmail }, reads = true, title = "size of the mailboxes" }
  local free = command { on = new, argv = { "df", "-Pk", params.vmail }, reads = true, title = "free space" }
  local need, have = tonumber(used.stdout:match("^%d+")), tonumber(free.lines[2]:match("%s%d+%s+%d+%s+(%d+)"))
  if need * 1.1 > have then fail(("the mailboxes need %d MiB and the new server has %d MiB free"):format(need / 1024, have / 1024)) end
end)

----------------------------------------------------------------------------------------------------------------------
phase("prepare", { title = "copy while the old server goes on; run it as often as you like" })

task("Copy the accounts", { unless = moved }, function()
  mysql.column { on = new, database = params.database, table = "virtual_users", column = "password", type = marked_password.type }
  copy_accounts()
end)

task("Copy the mails", { unless = moved }, function()
  local pass = copy_mails("warm")
  if pass.next_pass_seconds then say(("The next pass would take about %d seconds."):format(math.ceil(pass.next_pass_seconds))) end
end)

----------------------------------------------------------------------------------------------------------------------
phase("cutover", {
  title = "the old server stops, the new one takes over",
  gate  = "Mail stops now, for about as long as the last pass took. Did you tell your users?",
})

-- Postfix is told to accept nothing more and to finish what it has: cutting off a delivery would deliver that mail twice.
-- Then Dovecot stops, and with it every process that could still write to a mailbox: under SysV init they live on for half a minute.
task("Freeze the old server", {
  unless = moved,
  undo = function()
    postconf { on = old, unset = { "master_service_disable" } }
    service { on = old, name = "dovecot", state = "started" }
    service { on = old, name = "postfix", state = "restarted" }
  end,
}, function()
  service { on = old, name = "postfix", state = "started" }
  postconf { on = old, set = { master_service_disable = "inet" }, reload = true }
  command { on = old, argv = { "postqueue", "-f" }, title = "deliver what is queued" }
  wait_for { on = old, wait = "5m", title = "deliveries under way",
             command = { "sh", "-c", "cd /var/spool/postfix && test -z \"$(find incoming active maildrop -type f)\"" } }
  service { on = old, name = "postfix", state = "stopped", processes = { "dovecot-lda", "deliver" } }
  service { on = old, name = "dovecot", state = "stopped", processes = { "/usr/lib/dovecot/" } }
end)

task("Copy the last changes", { unless = moved }, function()
  copy_accounts()
  copy_mails("final")
end)

task("Compare both servers", { unless = moved }, function()
  maildir_sync.verify { from = old, to = new, path = params.vmail, domains = domains() }
end)

-- Whatever is wrong with the new server now costs a delay and not a mail: what would bounce waits in its queue.
task("Spread the safety net", { unless = moved, undo = function()
  postconf { on = new, set = { soft_bounce = "no" }, reload = true }
end }, function()
  postconf { on = new, set = { soft_bounce = "yes" }, reload = true }
end)

-- From here on going back means copying back: new mail arrives on the new server.
task("Let the new server take over", function()
  if not moved() then
    mysql.merge { on = new, from_database = staged, database = params.database, domains = params.domains, prune = true, backup = true }
    maildir_sync.live { on = new, target = params.vmail, domains = domains() }
  end
  service { on = new, name = "dovecot", state = "started", enabled = true }
  service { on = new, name = "postfix", state = "started", enabled = true }
end)

task("See that every account works", function()
  local accounts = mysql.query { on = new, database = params.database, title = "accounts", sql = "SELECT email FROM virtual_users ORDER BY email" }
  local argv = { "doveadm", "user" }
  for _, row in ipairs(accounts.rows) do argv[#argv + 1] = row.email end
  if accounts.count > 0 then command { on = new, argv = argv, reads = true, title = "Dovecot knows every account" } end
end)

-- Until all the world has seen the new MX records mail still comes to the old server. It passes it on at once.
task("Let the old server forward", { unless = function()
  local now = postconf { on = old, get = { "virtual_transport" } }
  return now.values.virtual_transport:find(params.mx, 1, true) and "it does"
end }, function()
  postconf { on = old, set = { virtual_transport = ("smtp:[%s]:25"):format(params.mx), smtpd_sasl_auth_enable = "no" },
             unset = { "master_service_disable" } }
  service { on = old, name = "postfix", state = "started" }
end)

----------------------------------------------------------------------------------------------------------------------
phase("watch", { title = "the MX records change" })

task("Switch the MX records", function()
  local list = domains()
  say("These domains get the MX record " .. params.mx .. " now, where you keep their zones:")
  for _, domain in ipairs(list) do say(("  %-40s MX  10 %s."):format(domain .. ".", params.mx)) end
  dns_check { domains = list, mx = params.mx, wait = params.dns_wait, resolver = params.resolver }
end)

----------------------------------------------------------------------------------------------------------------------
phase("finish", {
  title = "some days later",
  gate  = "Does mail come in and go out on the new server, and is its queue clean? Then mail that cannot be delivered may bounce again.",
})

task("Fetch what still reached the old server", function() copy_mails("late") end)

task("Take the safety net away", function()
  postconf { on = new, set = { soft_bounce = "no" }, reload = true }
end)

task("Back up the old server", function()
  local name = params.backups .. "/last-of-the-old-server.tar.gz"
  file { on = old, path = params.backups, state = "directory", mode = "0700" }
  command { on = old, creates = name, title = "mailboxes and configuration",
            argv = { "sh", "-c", 'umask 077; tar -czf "$1.part" -C / etc "${2#/}" && mv "$1.part" "$1"', "sh", name, params.vmail } }
  local dump = params.backups .. "/last-of-" .. params.database .. ".sql.gz"
  if command { on = old, argv = { "test", "-s", dump }, reads = true, ok = { 0, 1 }, title = "dump" }.status ~= 0 then
    mysql.dump { on = old, database = params.database, path = dump }
  end
  say("The last backup of the old server is in " .. params.backups .. " there. Copy it away before you switch the server off.")
end)

