-- Tests of wheezy-jessie.lua on hosts that are made of answers: `runner test recipes/wheezy-jessie_test.lua`. What the modules do on real
-- servers is tested in the lab; here it is what the recipe makes of them: when it refuses, what it leaves out, and what it takes back.

-- Two servers on which everything goes well. live says whether the new one has taken over.
local function servers()
  local state = { live = false }
  local old = host("old"):answer("test -d /var/vmail"):answer("du -slk /var/vmail", "2048\t/var/vmail\n")
    :answer("sh -c ...", "300\n"):answer("test -s *", { status = 1 }):postfix { myhostname = "old.example.net" }
  local new = host("new"):answer("id -u vmail", "5000\n"):postfix { mydestination = "localhost, new.example.net" }
    :answer("df -Pk /var/vmail", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9000 1000 8000 12% /\n")
    :answer("df -Pi /var/vmail", "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/sda1 9000 1000 8000 12% /\n")
  stub("domains of the old server", rows { { name = "example.com" }, { name = "example.org" } })
  stub("domains that stay", rows { { name = "example.com" }, { name = "example.org" } })
  stub("mysql.query", rows {})
  stub("mysql.*", { changed = true })
  stub("maildir_sync.status", function() return { live = state.live, domains = {} } end)
  stub("maildir_sync.live", function(args, step) state.live = args.state ~= "absent" or step.check return { changed = true } end)
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
  result:not_asked("prepare")
  result:order {
    "Copy the accounts", "Copy the mails", "Spread the safety net", "Freeze the old server", "Copy the last changes",
    "Compare both servers", "Let the new server take over", "Let the old server forward", "Fetch what still reached the old server",
    "Take the safety net away", "Back up the old server", "Tidy up",
  }
  -- Between the freeze and the new server's first mail nothing may come in, and nothing may be merged that was not compared.
  result:order { "postfix.freeze", "dovecot.freeze", "maildir_sync", "maildir_sync.verify", "mysql.merge", "maildir_sync.live", "service", "postfix.forward" }
  result:says("example.org has no MX record.")
  result:says("Lower their TTL to 60 seconds")
  result:says("4 mails wait in the queue of the old server")
  result:says("2 mails had still been delivered on the old server")
  contains(new:content("/etc/postfix/main.cf"), "soft_bounce = no")
  equal(result:step("mysql.merge").args.from_database, "mailserver_moving")
  equal(result:step("mysql.merge").args.backup, true)
  equal(old:changed(), { "dir /var/backups/runner 0700 0:0" })
end)

test("check mode changes nothing", function()
  local old, new = servers()
  local result = run { params = move, check = true }
  equal(old:writes(), {})
  equal(new:writes(), {})
  result:says("would ask before cutover")
end)

test("the question is answered with no: the old server goes on", function()
  servers()
  local result = run { params = move, answers = { cutover = false } }
  equal(result.stopped, true)
  result:ran("Spread the safety net")
  result:not_ran("Freeze the old server")
  result:not_ran("postfix.freeze")
end)

test("the servers differ: undo lets the old server go on", function()
  local old, new = servers()
  stub("maildir_sync.verify", { fails = "3 messages are missing on new" })
  local result = run { params = move, fails = "3 messages are missing" }
  result:failed("Compare both servers")
  result:not_ran("Let the new server take over")
  result:not_ran("mysql.merge")
  contains(new:content("/etc/postfix/main.cf"), "soft_bounce = yes")

  local undone = result:undo()
  undone:order { "Freeze the old server", "Spread the safety net" }
  undone:order { "dovecot.thaw", "postfix.thaw", "postconf" } -- Postfix delivers to Dovecot and asks it for passwords
  undone:changed("postfix.thaw", old)
  undone:not_ran("mysql.copy")
  contains(new:content("/etc/postfix/main.cf"), "soft_bounce = no")
end)

test("after the new server has taken over nothing is copied over it, and undo brings its mail back", function()
  local old, new, state = servers()
  local result = run { params = move, phase = "cutover" }
  equal(state.live, true)
  local again = run { params = move, phase = "prepare" }
  again:skipped("Copy the accounts")
  again:skipped("Copy the mails")
  equal(again:task("Copy the mails").note, "the new server has taken over")

  local undone = result:undo()
  equal(state.live, false)
  undone:order { "Let the old server forward", "Let the new server take over", "Freeze the old server" }
  local back = undone:step("maildir_sync").args
  equal({ back.from, back.to, back.mode }, { "new", "old", "reverse" })
  equal(undone:step("postfix.forward", old).args.state, "absent")
  local forward = undone:step("postfix.forward", new).args
  equal({ forward.to, forward.domains }, { "old.example.net", { "example.com", "example.org" } })
  undone:says("The mails that had reached the new server are on the old one.")
end)

test("a domain that is local on the new server stops the move", function()
  servers()
  host("new"):postfix { mydestination = "localhost, example.org" }
  run { params = move, phase = "check", fails = "example.org is in mydestination" }:not_ran("port_check")
end)

test("passwords that Dovecot would not know stop the move", function()
  servers()
  stub("accounts with an unknown password scheme", rows { { email = "ann@example.org" }, { email = "bob@example.org" } })
  run { params = move, phase = "check", fails = "2 accounts have a password that Dovecot will not know what to do with, such as ann@example.org" }
end)

test("too little room stops the move", function()
  servers()
  stub("size of the mailboxes", { stdout = "9000000\t/var/vmail\n" })
  run { params = move, phase = "check", fails = "need 9667 MiB and the new server has 7 MiB free" }
end)

test("clocks that are apart are told", function()
  servers()
  stub("facts", function(args) return { skew_seconds = args.on == "old" and -40 or 2 } end)
  run { params = move, phase = "check" }:says("42 seconds apart")
end)

test("some domains: the old server goes on with the others", function()
  servers()
  local result = run { params = { mx = move.mx, domains = { "example.org" } } }
  equal(result:step("postfix.forward", "old").args.domains, { "example.org" })
  equal(result:step("mysql.merge").args.domains, { "example.org" })
  result:order { "postfix.forward", "dovecot.thaw", "postfix.thaw" }
  result:says("The old server goes on with example.com.")
end)

test("all domains: the old Dovecot stays down", function()
  servers()
  local result = run { params = move }
  result:not_ran("dovecot.thaw")
  equal(result:step("postfix.forward", "old").args.domains, {})
end)

test("a run that was broken off goes on where it was", function()
  servers()
  stub("mysql.merge", { fails = "cannot merge: ann@example.org is there already" })
  local result = run { params = move, fails = "ann@example.org is there already" }
  stub("mysql.merge", { changed = true })
  local rest = result:resume()
  rest:not_ran("Freeze the old server")
  rest:not_asked("cutover") -- it was answered
  rest:order { "Let the new server take over", "Let the old server forward" }
end)
