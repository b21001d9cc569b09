-- Tests of merge-domains.lua on hosts that are made of answers: `runner test recipes/merge-domains_test.lua`.

-- A new server that has a domain of its own, and two old ones, on which everything goes well.
local function servers()
  local state = { live = false }
  host("new"):postfix {}:answer("df -Pk /var/vmail",
    "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9000 1000 8000 12% /\n")
  for _, name in ipairs { "berlin", "paris" } do
    host(name):answer("du -slk /var/vmail", "2048\t/var/vmail\n"):answer("test -s *", { status = 1 })
  end
  stub("domains of the new server", rows { { name = "example.net" } })
  stub("domains of berlin", rows { { name = "berlin.example" } })
  stub("domains of paris", rows { { name = "paris.example" }, { name = "paris.example.org" } })
  stub("mysql.*", { changed = true })
  stub("maildir_sync.status", function() return { live = state.live, domains = {} } end)
  stub("maildir_sync.live", function() state.live = true return { changed = true } end)
  stub("maildir_sync.*", { changed = true })
  stub("maildir_sync.verify", {})
  stub("maildir_sync", { changed = true })
  stub("postfix.*", { changed = true })
  stub("dovecot.*", { changed = true })
  stub("dovecot.accounts", {})
  stub("dns_check", { domains = {} })
  stub("archive", { changed = true })
  return host("new"), host("berlin"), host("paris"), state
end

local site = { mx = "new.example.net" }
local olds = { olds = { "berlin", "paris" } }

test("all old servers are merged, in their order", function()
  local new, berlin, paris = servers()
  local result = run { params = site, groups = olds }
  result:asked("cutover", "All old servers stop now")
  result:order {
    "See that no domain is on two servers", "See that the accounts fit together", "Copy the mails", "Freeze the old servers",
    "Copy the last changes", "Compare with each old server", "Let the new server take over", "Let the old servers forward", "Back up the old servers",
  }
  for _, module in ipairs { "postfix.freeze", "dovecot.freeze", "maildir_sync.verify", "postfix.forward", "archive" } do
    result:ran(module, berlin)
    result:ran(module, paris)
  end
  result:ran("maildir_sync.live", new)
  for _, old in ipairs { berlin, paris } do equal(old:changed(), { "dir /var/backups/runner 0700 0:0" }) end
end)

test("accounts wait in a database for each old server, and are tried on a copy first", function()
  servers()
  local result = run { params = site, groups = olds, phase = "prepare" }
  local into, from = {}, {}
  for _, step in ipairs(result.steps) do
    if step.module == "mysql.merge" then
      into[#into + 1], from[#from + 1] = step.args.database, step.args.from_database
    end
  end
  equal(into, { "mailserver_trial", "mailserver_trial" })
  equal(from, { "mailserver_berlin", "mailserver_paris" })
  result:not_ran("maildir_sync.live")
end)

test("each old server's mail is compared with its own domains", function()
  servers()
  local result = run { params = site, groups = olds }
  equal(result:step("maildir_sync.verify", "berlin").args.domains, { "berlin.example" })
  equal(result:step("maildir_sync.verify", "paris").args.domains, { "paris.example", "paris.example.org" })
end)

test("a domain on two servers stops the move before anything is copied", function()
  servers()
  stub("domains of paris", rows { { name = "berlin.example" } })
  local result = run { params = site, groups = olds, fails = "berlin.example is on paris and on berlin; decide which of them has it" }
  result:not_ran("mysql.copy")
end)

test("a domain that the new server has stops the move", function()
  servers()
  stub("domains of berlin", rows { { name = "example.net" } })
  run { params = site, groups = olds, fails = "example.net is on berlin and on the new server" }
end)

test("the sum of all mailboxes must have room", function()
  servers()
  stub("size of the mailboxes", { stdout = "5000\t/var/vmail\n" }) -- one of them would fit
  run { params = site, groups = olds, phase = "check", fails = "need 9 MiB and the new server has 7 MiB free" }
end)

test("accounts that do not fit together stop the move days before the freeze", function()
  servers()
  stub("mysql.merge", function(args)
    if args.from_database == "mailserver_paris" then return { fails = "cannot merge: ann@berlin.example is an alias on both" } end
    return { changed = true }
  end)
  local result = run { params = site, groups = olds, fails = "is an alias on both" }
  result:failed("See that the accounts fit together")
  result:not_ran("Freeze the old servers")
end)

test("one old server cannot be compared: undo lets all go on", function()
  local new, berlin, paris = servers()
  stub("maildir_sync.verify", function(args)
    if args.from == "paris" then return { fails = "1 message is missing on new" } end
    return {}
  end)
  local result = run { params = site, groups = olds, fails = "1 message is missing" }
  result:not_ran("Let the new server take over")
  local undone = result:undo()
  for _, old in ipairs { berlin, paris } do
    undone:changed("dovecot.thaw", old)
    undone:changed("postfix.thaw", old)
  end
  contains(new:content("/etc/postfix/main.cf"), "soft_bounce = no")
end)

test("an old server that cannot be reached stops the move", function()
  local _, _, paris = servers()
  local result = run { params = site, groups = olds, phase = "prepare" }
  paris:unreachable()
  local rest = result:resume { fails = "cannot reach paris" }
  rest:not_ran("postfix.freeze")
  rest:not_ran("maildir_sync.live")
end)

test("after the new server has taken over nothing is copied over it, and undo refuses", function()
  local _, _, _, state = servers()
  local result = run { params = site, groups = olds, phase = "cutover" }
  equal(state.live, true)
  run({ params = site, groups = olds, phase = "prepare" }):only {}
  result:undo { fails = "the new server has taken over" }
end)
