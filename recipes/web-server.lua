-- Moves a live web site (Apache, files, a MySQL or MariaDB database) from an old Debian host to a new one.
--
-- Visitors notice nothing until the phase "cutover". Then they are asked to come back in a minute, while the last files and rows are
-- copied and compared; after that the old server passes everything on to the new one, wherever the DNS still leads. What was answered,
-- an order or an upload, is there afterwards. Everything can be run twice.
--
--   runner --check web-server              what would happen
--   runner --phase prepare web-server      copy, while the old server goes on; on as many days as you like
--   runner web-server                      all that is left to do; asks before what matters
--   runner undo                            until the new server has taken over: the old site is open again

recipe {
  name  = "Web site to a new server",
  help  = "Moves files, database and virtual host of a web site.",
  hosts = { old = "serves the site today, with Apache 2.4", new = "a Debian host with MySQL or MariaDB" },
  params = {
    names     = { type = "list", required = true, help = "names of the site, the main one first" },
    addresses = { type = "list", required = true, help = "addresses of the new server, IPv4 and IPv6, as the DNS will have them" },
    scheme    = { default = "http", choices = { "http", "https" }, help = "how the site is reached" },
    page      = { default = "/", help = "a page that shows something from the database" },
    shows     = { type = "string", required = true, help = "what it shows" },
    root      = { type = "string", required = true, help = "folder of the site, on both servers" },
    folders   = { type = "list", default = {}, help = "more folders that go with it, such as /etc/letsencrypt" },
    exclude   = { type = "list", default = {}, help = "files that stay behind, such as cache/*" },
    database  = { type = "string", required = true, help = "database of the site" },
    account   = { type = "string", required = true, help = "account of the site in the database" },
    password  = { type = "secret", help = "password of that account, as the configuration of the site has it" },
    vhost     = { default = "", help = "template of the virtual host, with names and root; empty: a plain one for http" },
    packages  = { type = "list", default = { "apache2" }, help = "packages that the site needs on the new server" },
    modules   = { type = "list", default = {}, help = "modules of Apache that it needs, such as rewrite and proxy_fcgi" },
    writers   = { type = "list", default = {}, help = "services that write for the site beside Apache, such as php8.2-fpm and cron" },
    resolver  = { default = "", help = "name server to ask instead of the system's" },
    dns_wait  = { default = "1d", help = "how long to wait for the DNS" },
  },
}

local old, new, site = hosts.old, hosts.new, params.names[1] or ""
local url, folders = params.scheme .. "://" .. site .. params.page, { params.root, unpack(params.folders) }

local plain_vhost = [[
<VirtualHost *:80>
	ServerName {{ index .names 0 }}
{{ range slice .names 1 }}	ServerAlias {{ . }}
{{ end }}	DocumentRoot {{ .root }}
	<Directory {{ .root }}>
		AllowOverride All
		Require all granted
	</Directory>
</VirtualHost>
]]

-- What is there on the old server stays untouched: this is merged into all its virtual hosts, and goes by removing it.
local moving = "/etc/apache2/conf-enabled/zz-moving-" .. site .. ".conf"
local moving_conf = [[
# Written by runner: a site is on the move.
{{ range .modules }}<IfModule !{{ . }}_module>
	LoadModule {{ . }}_module /usr/lib/apache2/modules/mod_{{ . }}.so
</IfModule>
{{ end }}<IfModule ssl_module>
	SSLProxyEngine On
</IfModule>
ProxyPreserveHost On
<If "%{SERVER_NAME} =~ /^({{ .names }})$/i || %{DOCUMENT_ROOT} =~ m#^{{ .root }}(/|$)#">
	ErrorDocument 503 "This site moves to a new server at this moment. Please come back in a few minutes."
	Options +FollowSymLinks
	RewriteEngine On
	RewriteCond %{THE_REQUEST} "^\S+ (?:https?://[^/ ]+)?(/\S*)"
	RewriteRule ^ {{ .rule }}
</If>
]]

local function answer_with(rule)
  template { on = old, path = moving, text = moving_conf, backup = false, -- lint: it is this recipe's own
             vars = { names = table.concat(params.names, "|"):gsub("%.", "\\."), root = params.root, rule = rule,
                      modules = { "rewrite", "proxy", "proxy_http" } } }
  service { on = old, name = "apache2", state = "reloaded" }
end

local function each_writer(host, state)
  for _, name in ipairs(params.writers) do service { on = host, name = name, state = state } end
end

-- Once the old server passes requests on, the new one is the one that counts: nothing may be copied over it any more.
local function moved()
  return command { on = old, argv = { "grep", "-qsF", "[P,", moving }, reads = true, ok = { 0, 1, 2 }, title = "who serves the site" }.status == 0
    and "the new server has taken over"
end

local function copy(final)
  for _, path in ipairs(folders) do
    tree_sync { from = old, to = new, path = path, exclude = params.exclude, delete = final }
  end
  mysql.copy { from = old, to = new, database = params.database, backup = not final, in_use = not final } -- compared table by table
end

----------------------------------------------------------------------------------------------------------------------
phase("check", { title = "look at both servers, change nothing" })

task("See that the old site works", function()
  if site == "" or #params.addresses == 0 then fail("names and addresses must be filled in in site.lua") end
  http_check { on = old, url = url, address = "127.0.0.1", contains = params.shows, trusted = false }
  command { on = old, argv = { "test", "-d", "/etc/apache2/conf-enabled" }, reads = true, title = "Apache 2.4" }
  mysql.query { on = old, database = params.database, sql = "SELECT 1", title = "database" }
end)

task("See that there is room", { unless = moved }, function()
  local used = command { on = old, argv = { "du", "-slk", unpack(folders) }, reads = true, ok = { 0, 1 }, title = "size of the files" }
  local free = command { on = new, argv = { "df", "-Pk", "/var" }, reads = true, title = "free space" }
  local need, have = 0, tonumber(free.lines[2]:match("%s%d+%s+%d+%s+(%d+)"))
  for _, line in ipairs(used.lines) do need = need + tonumber(line:match("^%d+")) * 1.1 end
  if need > have then fail(("the files need %d MiB and the new server has %d MiB free"):format(need / 1024, have / 1024)) end
end)

task("Look at the DNS", { unless = moved }, function()
  for name, found in pairs(dns_check { names = params.names, resolver = params.resolver }.domains) do
    if found.change_seconds > 300 then
      say(("Others may remember the address of %s for %d minutes. Lower its TTL to 60 seconds now."):format(name, found.change_seconds / 60))
    end
  end
end)

----------------------------------------------------------------------------------------------------------------------
phase("prepare", { title = "copy while the old server goes on; run it as often as you like" })

task("Set up the new server", function()
  package { on = new, names = params.packages }
  for _, name in ipairs(params.modules) do
    command { on = new, argv = { "a2enmod", "-q", name }, creates = "/etc/apache2/mods-enabled/" .. name .. ".load", notify = "restart" }
  end
  local available = "/etc/apache2/sites-available/" .. site .. ".conf"
  template { on = new, path = available, source = params.vhost ~= "" and params.vhost or nil, text = params.vhost == "" and plain_vhost or nil,
             vars = { names = params.names, root = params.root }, notify = "restart" }
  file { on = new, path = "/etc/apache2/sites-enabled/" .. site .. ".conf", state = "link", target = available, notify = "restart" }
end)

task("Copy files and database", { unless = moved }, function()
  local began = os.time()
  copy(false)
  saved.seconds = os.time() - began
  mysql.user { on = new, name = params.account, password = params.password, grants = { "ALL PRIVILEGES ON " .. params.database .. ".*" } }
end)

handler("restart", function() service { on = new, name = "apache2", state = "restarted" } end)

----------------------------------------------------------------------------------------------------------------------
phase("rehearse", { title = "try the new server before anybody depends on it" })

task("Ask the new server for the page", function()
  for _, address in ipairs(params.addresses) do http_check { on = new, url = url, address = address, contains = params.shows } end
  http_check { url = url, address = params.addresses[1], contains = params.shows }
end)

----------------------------------------------------------------------------------------------------------------------
phase("cutover", {
  title = "the old site closes, the new one opens",
  gate  = function()
    return "Visitors are asked to come back in a minute while the last changes are copied and compared"
      .. (saved.seconds and (" (the last copy took %d seconds)"):format(saved.seconds) or "")
      .. ". Until the new server has taken over `runner undo` opens the old site again. Go on?"
  end,
})

task("Close the old site", { unless = moved, undo = function()
  file { on = old, path = moving, state = "absent", backup = false } -- lint: this recipe made it
  each_writer(old, "started")
  service { on = old, name = "apache2", state = "reloaded" }
end }, function()
  each_writer(old, "stopped")
  local busy = command { on = old, argv = { "pgrep", "-u", "www-data" }, reads = true, ok = { 0, 1 }, title = "processes of the site" }.lines
  answer_with("- [R=503,L]")
  -- What began before may still write. Apache lets it end in peace and has new processes for what comes now.
  if #busy > 0 then
    command { on = old, argv = { "sh", "-c", 'while ps -p "$1" >/dev/null; do sleep 0.1; done', "sh", table.concat(busy, ",") }, timeout = "2m",
              title = "wait for requests that are still answered (what else runs as www-data belongs into writers)" }
  end
  http_check { on = old, url = url, address = "127.0.0.1", status = { 503 }, trusted = false, wait = "10s" }
end)

task("Copy the last changes", { unless = moved }, function() copy(true) end)

task("Compare both servers", { unless = moved }, function()
  for _, path in ipairs(folders) do tree_sync.verify { from = old, to = new, path = path, exclude = params.exclude } end
  http_check { url = url, address = params.addresses[1], contains = params.shows }
end)

task("Let the new server take over", { unless = moved, undo = function()
  if moved() then fail("the new server has taken over and may have what the old one has not; to go back, copy files and database the other way first") end
end }, function()
  local address = params.addresses[1]:find(":") and "[" .. params.addresses[1] .. "]" or params.addresses[1]
  answer_with(params.scheme .. "://" .. address .. "%1 [P,NE,L]")
  each_writer(new, "started")
  http_check { on = old, url = url, address = "127.0.0.1", contains = params.shows, trusted = false, wait = "10s" }
end)

----------------------------------------------------------------------------------------------------------------------
phase("watch", { title = "the DNS changes" })

task("Switch the addresses", function()
  say(table.concat(params.names, " and ") .. " get the address " .. table.concat(params.addresses, " and ") .. " now, where you keep the zone.")
  dns_check { names = params.names, addresses = params.addresses, wait = params.dns_wait, resolver = params.resolver }
end)

task("Wait for the last cache", function()
  dns_check { names = params.names, addresses = params.addresses, expired = true, wait = params.dns_wait, resolver = params.resolver }
end)

----------------------------------------------------------------------------------------------------------------------
phase("finish", { title = "some days later", gate = "The old server is backed up for the last time. Has the site worked for some days?" })

task("Back up the old server", function()
  local backups = "/var/backups/runner"
  file { on = old, path = backups, state = "directory", mode = "0700" }
  archive { from = old, path = backups .. "/last-of-" .. site .. ".tar.gz", paths = { "/etc", unpack(folders) } }
  local dump = backups .. "/last-of-" .. params.database .. ".sql.gz"
  if command { on = old, argv = { "test", "-s", dump }, reads = true, ok = { 0, 1 }, title = "dump" }.status ~= 0 then
    mysql.dump { on = old, database = params.database, path = dump }
  end
  say("The last backup of the old server is in " .. backups .. " there. Copy it elsewhere; then the old server may be powered off.")
end)
