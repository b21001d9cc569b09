-- Tests of web-server.lua on hosts that are made of answers: `runner test recipes/web-server_test.lua`. What the modules do on real
-- servers is tested in the lab; here it is what the recipe makes of them: when it refuses, what it leaves out, and what it takes back.

local moving = "/etc/apache2/conf-enabled/zz-moving-www.example.org.conf"

local site = {
  names = { "www.example.org", "example.org" }, addresses = { "192.0.2.1", "2001:db8::1" }, root = "/srv/shop", shows = "In stock",
  database = "shop", account = "shop", password = "s3cret", writers = { "cron" }, folders = { "/etc/letsencrypt" }, modules = { "cgid" },
}

-- Two servers on which everything goes well. state.busy are the processes that answer requests on the old one.
local function servers()
  local state = { busy = "101\n102\n" }
  local old = host("old"):dir("/etc/apache2/conf-enabled"):service("cron", { running = true })
    :answer("du -slk /srv/shop /etc/letsencrypt", "2048\t/srv/shop\n8\t/etc/letsencrypt\n"):answer("test -d *"):answer("sh -c ..."):answer("test -s *", { status = 1 })
  stub("who serves the site", function()
    local conf = old:content(moving) or ""
    return { status = conf:find("[P,", 1, true) and 0 or 1 }
  end)
  stub("processes of the site", function() return { lines = state.busy == "" and {} or { "101", "102" } } end)
  local new = host("new"):dir("/etc/apache2/sites-available"):dir("/etc/apache2/sites-enabled"):dir("/etc/apache2/mods-enabled")
    :answer("df -Pk /var", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9000 1000 8000 12% /\n")
    :file("/etc/apache2/mods-enabled/cgid.load", "")
  stub("package", {})
  stub("mysql.*", { changed = true })
  stub("mysql.query", rows {})
  stub("tree_sync", { changed = true })
  stub("tree_sync.verify", {})
  stub("http_check", {})
  stub("dns_check", { domains = { ["www.example.org"] = { change_seconds = 3600 }, ["example.org"] = { change_seconds = 60 } } })
  stub("service", { changed = true })
  stub("archive", { changed = true })
  return old, new, state
end

test("the whole move, in its order", function()
  local old, new = servers()
  local result = run { params = site }
  result:asked("cutover", "the last copy took")
  result:asked("finish")
  result:not_asked("prepare")
  result:order { "Set up the new server", "Copy files and database", "Ask the new server for the page", "Close the old site", "Copy the last changes",
    "Compare both servers", "Let the new server take over", "Switch the addresses", "Wait for the last cache", "Back up the old server" }
  -- The old site is closed, and what was at work in it has ended, before anything is copied for the last time.
  result:order { "processes of the site", "wait for requests that are still answered (what else runs as www-data belongs into writers)", "tree_sync", "mysql.copy", "tree_sync.verify", "dns_check" }
  result:says("address of www.example.org for 60 minutes")
  result:says("www.example.org and example.org get the address 192.0.2.1 and 2001:db8::1 now")
  contains(new:content("/etc/apache2/sites-available/www.example.org.conf"), "ServerName www.example.org\n\tServerAlias example.org\n\tDocumentRoot /srv/shop\n")
  contains(old:content(moving), "RewriteRule ^ http://192.0.2.1%1 [P,NE,L]")
  contains(old:content(moving), "^(www\\.example\\.org|example\\.org)$")
end)

test("check mode changes nothing", function()
  local old, new = servers()
  run({ params = site, check = true }):says("would ask before cutover")
  equal(old:writes(), {})
  equal(new:writes(), {})
end)

test("while the last changes are copied, visitors are asked to come back", function()
  local old = servers()
  stub("tree_sync.verify", { fails = "\"index.html\": has another content" })
  local result = run { params = site, fails = "has another content" }
  contains(old:content(moving), "RewriteRule ^ - [R=503,L]")
  result:not_ran("Let the new server take over")

  local undone = result:undo()
  undone:ran("Close the old site")
  undone:not_ran("mysql.copy")
  equal(old:content(moving), nil)
end)

test("undo after the new server has taken over is refused", function()
  servers()
  run({ params = site, phase = "cutover" }):undo { fails = "the new server has taken over and may have what the old one has not" }
end)

test("after the new server has taken over nothing is copied over it", function()
  servers()
  run { params = site, phase = "cutover" }
  local again = run { params = site, phase = "prepare" }
  again:skipped("Copy files and database")
  equal(again:task("Copy files and database").note, "the new server has taken over")
  again:not_ran("mysql.copy")
end)

test("the question is answered with no: the old site stays open", function()
  local old = servers()
  local result = run { params = site, answers = { cutover = false } }
  equal(result.stopped, true)
  result:not_ran("Close the old site")
  equal(old:content(moving), nil)
end)

test("what writes beside Apache stops on the old server and starts on the new one", function()
  servers()
  local stops = {}
  stub("service", function(args)
    if args.name == "cron" then stops[#stops + 1] = args.on .. " " .. args.state end
    return { changed = true }
  end)
  run { params = site, phase = "cutover" }
  equal(stops, { "old stopped", "new started" })
end)

test("too little room stops the move", function()
  servers()
  stub("size of the files", { lines = { "9000000\t/srv/shop" } })
  run { params = site, phase = "check", fails = "the files need 9667 MiB and the new server has 7 MiB free" }
end)

test("a virtual host of one's own, and https over IPv6", function()
  servers()
  local sources, rules = {}, {}
  stub("template", function(args)
    sources[#sources + 1], rules[#rules + 1] = args.source, args.vars.rule
    return { changed = true }
  end)
  local own = {}
  for key, value in pairs(site) do own[key] = value end
  own.vhost, own.scheme, own.addresses = "vhost.conf", "https", { "2001:db8::1" }
  run { params = own }
  equal(sources, { "vhost.conf" })
  equal(rules, { "- [R=503,L]", "https://[2001:db8::1]%1 [P,NE,L]" })
end)
