package modules

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// factsArgs are the arguments of facts.
//
// # Example
//
//	local f = facts { on = old, programs = { "doveadm", "rsync" } }
//	if f.major < 8 then say(old.name .. " is Debian " .. f.version) end
//
// # Result
//
//   - hostname (string): whole name of the host
//   - os (string): "debian"
//   - version (string): "7.11"
//   - major (integer): 7; 0 when it is unknown
//   - kernel (string): version of the kernel
//   - arch (string): such as "x86_64"
//   - init (string): "systemd", "sysv" or "other"
//   - user (string): user that the step is done as
//   - uid (integer): its number
//   - skew_seconds (number): how far the clock is ahead of this machine's
//   - uptime_seconds (integer): since the last start
//   - cpus (integer): processors
//   - memory (integer): bytes of memory
//   - memory_free (integer): bytes of it that programs can still get
//   - swap (integer): bytes of swap space
//   - addresses (list of string): IP addresses that others can reach it at
//   - disks (table): for each folder where a disk is mounted, a table with device, size, free (bytes for an ordinary user), inodes_free
//   - programs (table): for each name of programs, whether it is there
type factsArgs struct {
	// Host that is looked at.
	On *host.View `lua:"on,required"`
	// Programs of which it is told whether they are there.
	Programs []string `lua:"programs"`
}

// factsLook prints what Facts does not have, by what Debian 5 has already. Network file systems that hang are left out (df -l).
const factsLook = `PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
echo "cpus $(grep -c '^processor' /proc/cpuinfo)"
read -r up rest </proc/uptime; echo "uptime ${up%%.*}"
while read -r name value rest; do
  case $name in MemTotal:|MemFree:|MemAvailable:|Buffers:|Cached:|SwapTotal:) echo "${name%:} $value";; esac
done </proc/meminfo
if command -v ip >/dev/null 2>&1; then ip -o addr show scope global 2>/dev/null | while read -r n dev family address rest; do echo "address $address"; done
else ifconfig 2>/dev/null | sed -n 's/.*inet6* addr: *\([^ /]*\).*/address \1/p'; fi
df -lPk 2>/dev/null | sed -n '2,$s/^/disk /p'
df -lPi 2>/dev/null | sed -n '2,$s/^/inodes /p'
for p; do if command -v "$p" >/dev/null 2>&1; then echo "yes $p"; else echo "no $p"; fi; done`

func planFacts(ctx context.Context, a *factsArgs) (*module.Plan, error) {
	f, err := a.On.Facts(ctx)
	if err != nil {
		return nil, err
	}
	out, err := a.On.QueryScript(ctx, factsLook, a.Programs...)
	if err != nil {
		return nil, fmt.Errorf("cannot look at %s: %w", a.On.Name(), why(err))
	}
	found := parseFactsLook(out.Stdout)
	for name, value := range map[string]any{
		"hostname": f.Hostname, "os": f.OS, "version": f.Version, "major": int64(f.Major), "kernel": f.Kernel, "arch": f.Arch, "init": f.Init,
		"user": f.User, "uid": int64(f.UID), "skew_seconds": f.Skew.Seconds(),
	} {
		found[name] = value
	}
	return &module.Plan{Output: found, Note: fmt.Sprintf("%s %s, %s, %d processors, %d MiB of memory", f.OS, f.Version, f.Arch, found["cpus"], found["memory"].(int64)>>20)}, nil
}

// parseFactsLook reads what factsLook prints.
func parseFactsLook(text string) map[string]any {
	numbers := map[string]int64{}
	addresses, disks, programs := []string{}, map[string]any{}, map[string]any{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "yes", "no":
			programs[words[1]] = words[0] == "yes"
		case "address":
			if address, _, _ := strings.Cut(words[1], "/"); !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
			}
		case "disk":
			if name, size, free, ok := dfLine(words[1:]); ok && strings.HasPrefix(words[1], "/") {
				disks[name] = map[string]any{"device": words[1], "size": size << 10, "free": free << 10, "inodes_free": int64(0)}
			}
		case "inodes":
			if name, _, free, ok := dfLine(words[1:]); ok {
				if disk, ok := disks[name].(map[string]any); ok {
					disk["inodes_free"] = free
				}
			}
		default:
			numbers[words[0]], _ = strconv.ParseInt(words[1], 10, 64)
		}
	}
	free, ok := numbers["MemAvailable"] // since Linux 3.14
	if !ok {
		free = numbers["MemFree"] + numbers["Buffers"] + numbers["Cached"]
	}
	return map[string]any{
		"cpus": numbers["cpus"], "uptime_seconds": numbers["uptime"], "memory": numbers["MemTotal"] << 10, "memory_free": free << 10,
		"swap": numbers["SwapTotal"] << 10, "addresses": addresses, "disks": disks, "programs": programs,
	}
}

// dfLine reads a line of df -P: device, size, used, free, share, folder. A folder's name may hold spaces.
func dfLine(words []string) (folder string, size, free int64, ok bool) {
	if len(words) < 6 {
		return "", 0, 0, false
	}
	size, err1 := strconv.ParseInt(words[1], 10, 64)
	free, err2 := strconv.ParseInt(words[3], 10, 64)
	return strings.Join(words[5:], " "), size, free, err1 == nil && err2 == nil
}
