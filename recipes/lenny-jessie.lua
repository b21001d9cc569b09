-- Moves a live mail server that was set up by the ISPmail guide for Lenny (or Etch) to a new Debian host.
--
-- It goes as wheezy-jessie does, and brings what Lenny had otherwise into today's shape: accounts as local part and domain apart,
-- aliases with a local part, mailboxes in /home/vmail whose directories keep the capitals somebody once typed, folders below INBOX.
--
--   runner --check lenny-jessie                 what would happen
--   runner lenny-jessie --phase prepare         copy, while the old server goes on; on as many days as you like
--   runner lenny-jessie                         all that is left to do; asks before what matters
--   runner undo                                 until the new server has taken over: the old one serves again

local stock = extend("wheezy-jessie", {
  name     = "Lenny to Jessie mail server",
  help     = "Moves accounts and mails of an ISPmail server of Lenny's time to a new host.",
  params   = { old_vmail = { default = "/home/vmail", help = "root of all mailboxes on the old server; vmail is that on the new one" } },
})

local old, new = hosts.old, hosts.new

-- Where the old tables wait as they are, and where their rows wait in today's shape until the new server takes over.
local raw, staged = params.database .. "_lenny", params.database .. "_moving"

-- The rows of today's tables, made from those of Lenny. Only a bare MD5 hash gets a prefix, so a password that was marked stays.
local shapes = {
  { table = "virtual_domains", columns = "id, name", rows = "SELECT id, LOWER(name) AS name FROM {raw}.virtual_domains" },
  { table = "virtual_users", columns = "id, domain_id, email, password",
    rows = [[SELECT u.id, u.domain_id, LOWER(CONCAT(u.user, '@', d.name)) AS email,
               CASE WHEN u.password REGEXP '^[0-9a-fA-F]{32}$' THEN CONCAT('{PLAIN-MD5}', u.password) ELSE u.password END AS password
             FROM {raw}.virtual_users u JOIN {raw}.virtual_domains d ON d.id = u.domain_id]] },
  { table = "virtual_aliases", columns = "id, domain_id, source, destination", -- an empty local part is the catch-all: "@domain"
    rows = [[SELECT a.id, a.domain_id, LOWER(CONCAT(a.source, '@', d.name)) AS source, a.destination
             FROM {raw}.virtual_aliases a JOIN {raw}.virtual_domains d ON d.id = a.domain_id]] },
}

local function ask_database(host, title, sql)
  return mysql.query { on = host, database = params.database, title = title, sql = sql }
end

function stock.copy_accounts()
  mysql.copy { from = old, to = new, database = params.database, target_database = raw, backup = false } -- lint: a copy of its own
  mysql.database { on = new, name = staged }
  for _, shape in ipairs(shapes) do
    local target, rows = staged .. "." .. shape.table, shape.rows:gsub("{raw}", raw)
    mysql.exec { on = new, title = "table " .. target,
      sql = ("CREATE TABLE %s LIKE %s.%s"):format(target, params.database, shape.table),
      unless = ("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'"):format(staged, shape.table) }
    -- A row that is otherwise than on the old server goes, and one that is missing comes.
    local sums = ("SELECT id, MD5(CONVERT(CONCAT_WS('|', %s) USING utf8)) AS sum FROM "):format(shape.columns)
    local stale = ("id NOT IN (SELECT id FROM (SELECT was.id FROM (%s %s) AS was JOIN (%s (%s) AS x) AS now ON now.id = was.id AND now.sum = was.sum) AS same)")
      :format(sums, target, sums, rows)
    local missing = ("id NOT IN (SELECT id FROM %s)"):format(target)
    mysql.exec { on = new, title = "clear " .. target, sql = ("DELETE FROM %s WHERE %s"):format(target, stale),
                 unless = ("SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM %s WHERE %s)"):format(target, stale) }
    mysql.exec { on = new, title = "fill " .. target,
                 sql = ("INSERT INTO %s (%s) SELECT * FROM (%s) AS x WHERE %s"):format(target, shape.columns, rows, missing),
                 unless = ("SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM (%s) AS x WHERE %s)"):format(rows, missing) }
  end
end

function stock.mailboxes()
  return { from = old, to = new, path = params.old_vmail, target = params.vmail, lowercase = true, domains = stock.domains() }
end

-- The old server's directories keep their capitals: what came back would lie beside them.
function stock.way_back() end

task("See that the old server can be moved", { replace = true }, function()
  local found = mysql.query { on = old, database = params.database, title = "shape of virtual_users", args = { params.database },
    sql = "SELECT COLUMN_NAME AS name FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = 'virtual_users'" }
  local columns = {}
  for _, row in ipairs(found.rows) do columns[row.name:lower()] = true end
  if not (columns.user and columns.domain_id) then
    fail("virtual_users of the old server has whole addresses or another shape, not Lenny's user and domain_id; see wheezy-jessie")
  end
  local unknown = ask_database(old, "accounts with an unknown password scheme",
    "SELECT user FROM virtual_users WHERE password NOT REGEXP '^[0-9a-fA-F]{32}$' AND password NOT LIKE '{%}%' AND password NOT LIKE '$%'")
  if unknown.count > 0 then
    fail(unknown.count .. " accounts have a password that Dovecot will not know what to do with, such as " .. unknown.first.user)
  end
  local twice = ask_database(old, "domains that are there twice",
    "SELECT LOWER(name) AS name FROM virtual_domains GROUP BY LOWER(name) HAVING COUNT(*) > 1")
  if twice.count > 0 then fail("the domain " .. twice.first.name .. " is in virtual_domains twice; join the two first") end
  local lost = ask_database(old, "accounts and aliases without a domain",
    [[SELECT user AS name FROM virtual_users WHERE domain_id NOT IN (SELECT id FROM virtual_domains)
      UNION ALL SELECT source FROM virtual_aliases WHERE domain_id NOT IN (SELECT id FROM virtual_domains)]])
  if lost.count > 0 then fail(lost.count .. " accounts or aliases have no domain, such as " .. lost.first.name .. "; remove them first") end
  local capitals = ask_database(old, "accounts that differ only in capitals",
    [[SELECT LOWER(CONCAT(u.user, '@', d.name)) AS email FROM virtual_users u JOIN virtual_domains d ON d.id = u.domain_id
      GROUP BY 1 HAVING COUNT(*) > 1]])
  if capitals.count > 0 then fail(capitals.first.email .. " is there twice, with other capitals; the new server knows only one of them") end
  command { on = old, argv = { "test", "-d", params.old_vmail }, reads = true, title = "mailboxes in " .. params.old_vmail }
  local config = command { on = old, argv = { "dovecot", "-n" }, reads = true, title = "folders below INBOX" }.stdout
  if config:find("prefix%s*[=:]%s*INBOX%.") then
    say("Mail programs know the folders as INBOX.Sent. For those that do not look again, give the new Dovecot a second namespace: "
      .. "namespace old { prefix = INBOX. separator = . hidden = yes list = no alias_for = }")
  end
end)

task("Remove the old tables", { after = "Tidy up" }, function()
  mysql.database { on = new, name = raw, state = "absent", backup = false } -- lint: this recipe made it
end)
