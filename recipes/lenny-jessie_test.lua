-- Tests of lenny-jessie.lua on hosts that are made of answers: `runner test recipes/lenny-jessie_test.lua`. What the modules do on real
-- servers is tested in the lab; here it is what the recipe makes of them: when it refuses, what it leaves out, and what it takes back.

-- Two servers on which everything goes well. live says whether the new one has taken over.
local function servers()
  local state = { live = false }
  local old = host("old"):answer("test -d /home/vmail"):answer("du -slk /home/vmail", "2048\t/home/vmail\n")
    :answer("sh -c ...", "300\n"):answer("dovecot -n", "protocols: imap\n"):answer("test -s *", { status = 1 })
  local new = host("new"):answer("id -u vmail", "5000\n"):postfix { mydestination = "localhost, new.example.net" }
    :answer("df -Pk /var/vmail", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9000 1000 8000 12% /\n")
    :answer("df -Pi /var/vmail", "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/sda1 9000 1000 8000 12% /\n")
  stub("domains of the old server", rows { { name = "example.com" }, { name = "example.org" } })
  stub("domains that stay", rows { { name = "example.com" }, { name = "example.org" } })
  stub("shape of virtual_users", rows { { name = "id" }, { name = "domain_id" }, { name = "user" }, { name = "password" } })
  stub("mysql.query", rows {})
  stub("mysql.*", { changed = true })
  stub("maildir_sync.status", function() return { live = state.live, domains = {} } end)
  stub("maildir_sync.live", function() state.live = true return { changed = true } end)
  stub("maildir_sync.converge", { changed = true, next_pass_seconds = 3.2 })
  stub("maildir_sync", { changed = true, copied = 2 })
  stub("maildir_sync.verify", {})
  stub("facts", { skew_seconds = 0 })
  stub("dns_check", { domains = { ["example.com"] = { mx = { "mail.example.com" }, ttl = 60 }, ["example.org"] = { mx = {}, ttl = 3600 } } })
  stub("postfix.*", { changed = true, messages = 4 })
  stub("postfix.watch", { received = 3, sent = 3, deferred = 0, queue = 0 })
  stub("dovecot.*", { changed = true })
  stub("service", {})
  stub("archive", { changed = true })
  for _, name in ipairs { "port_check", "smtp_probe", "tls_check", "dovecot.accounts" } do stub(name, {}) end
  return old, new, state
end

local move = { mx = "new.example.net" }

test("the whole move, in its order", function()
  local old, new = servers()
  local result = run { params = move }
  result:asked("cutover", "for about 9 seconds") -- 3.2, rounded up, and 5
  result:asked("finish")
  result:order {
    "Copy the accounts", "Copy the mails", "Spread the safety net", "Freeze the old server", "Copy the last changes",
    "Compare both servers", "Let the new server take over", "Let the old server forward", "Fetch what still reached the old server",
    "Take the safety net away", "Back up the old server", "Tidy up",
  }
  result:order { "postfix.freeze", "dovecot.freeze", "maildir_sync", "maildir_sync.verify", "mysql.merge", "maildir_sync.live", "service", "postfix.forward" }
  result:not_ran("dovecot.thaw")
  contains(new:content("/etc/postfix/main.cf"), "soft_bounce = no")
  equal(old:changed(), { "dir /var/backups/runner 0700 0:0" })
end)

test("mailboxes move from /home/vmail to /var/vmail, without capitals", function()
  servers()
  local result = run { params = move }
  for _, step in ipairs(result.steps) do
    if step.module == "maildir_sync" or step.module == "maildir_sync.verify" or step.module == "maildir_sync.converge" then
      equal(step.args.path, "/home/vmail")
      equal(step.args.target, "/var/vmail")
      equal(step.args.lowercase, true)
    end
  end
  result:ran("maildir_sync.verify")
end)

test("Lenny's rows are brought into today's shape beside the live database", function()
  servers()
  local result = run { params = move, phase = "prepare" }
  result:order { "mysql.column", "mysql.copy", "mysql.database", "table mailserver_moving.virtual_domains", "fill mailserver_moving.virtual_domains",
                 "fill mailserver_moving.virtual_users", "fill mailserver_moving.virtual_aliases" }
  equal(result:step("mysql.copy").args.target_database, "mailserver_lenny")
  contains(result:step("fill mailserver_moving.virtual_users").args.sql, "CONCAT('{PLAIN-MD5}', u.password)")
  contains(result:step("fill mailserver_moving.virtual_users").args.sql, "mailserver_lenny.virtual_users")
  for _, step in ipairs(result.steps) do -- nothing may touch the accounts that the new server has
    if step.module == "mysql.exec" then contains(step.args.sql, "mailserver_moving.") end
  end
end)

test("an old server that is not Lenny's is refused", function()
  servers()
  stub("domains that stay", rows { { name = "example.com" }, { name = "example.org" } })
  stub("shape of virtual_users", rows { { name = "id" }, { name = "email" }, { name = "domain_id" } })
  run { params = move, phase = "check", fails = "see wheezy-jessie" }
end)

test("accounts that differ only in capitals stop the move", function()
  servers()
  stub("accounts that differ only in capitals", rows { { email = "ann@example.org" } })
  run { params = move, phase = "check", fails = "ann@example.org is there twice, with other capitals" }
end)

test("accounts without a domain stop the move", function()
  servers()
  stub("accounts and aliases without a domain", rows { { name = "ann" } })
  run { params = move, phase = "check", fails = "1 accounts or aliases have no domain, such as ann" }
end)

test("folders below INBOX are told", function()
  servers()
  stub("folders below INBOX", { stdout = "namespace:\n  prefix: INBOX.\n" })
  run { params = move, phase = "check" }:says("Mail programs know the folders as INBOX.Sent")
end)

test("the servers differ: undo lets the old server go on", function()
  local old, new = servers()
  stub("maildir_sync.verify", { fails = "3 messages are missing on new" })
  local result = run { params = move, fails = "3 messages are missing" }
  result:not_ran("mysql.merge")
  local undone = result:undo()
  undone:order { "dovecot.thaw", "postfix.thaw", "postconf" }
  undone:changed("postfix.thaw", old)
  contains(new:content("/etc/postfix/main.cf"), "soft_bounce = no")
end)

test("after the new server has taken over nothing is copied over it, and undo refuses", function()
  local _, _, state = servers()
  local result = run { params = move, phase = "cutover" }
  equal(state.live, true)
  local again = run { params = move, phase = "prepare" }
  again:skipped("Copy the accounts")
  again:skipped("Copy the mails")
  result:undo { fails = "the new server has taken over" }
end)

test("some domains: the old server goes on with the others", function()
  servers()
  local result = run { params = { mx = move.mx, domains = { "example.org" } } }
  equal(result:step("postfix.forward", "old").args.domains, { "example.org" })
  result:order { "postfix.forward", "dovecot.thaw", "postfix.thaw" }
  result:says("The old server goes on with example.com.")
end)
