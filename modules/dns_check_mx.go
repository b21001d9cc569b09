package modules

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runner/modules/internal/authority"
)

var (
	hostName     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	mxPreference = regexp.MustCompile(`^\s*(?:(\d{1,5})\s+)?(\S+)\s*$`)
)

// wantedMX is one MX as a recipe asks for it.
type wantedMX struct {
	host       string // as [authority.MX] has it
	preference int    // -1: any
}

func (w wantedMX) String() string {
	name := w.host
	if name == "" {
		name = "."
	}
	if w.preference >= 0 {
		return fmt.Sprintf("%d %s", w.preference, name)
	}
	return name
}

func (a *dnsCheckArgs) wanted() ([]wantedMX, error) {
	var texts []string
	switch v := a.MX.(type) {
	case nil:
		return nil, nil
	case string:
		texts = []string{v}
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, errors.New("mx must be a string or a list of strings")
			}
			texts = append(texts, s)
		}
	default:
		return nil, errors.New("mx must be a string or a list of strings")
	}
	if len(texts) == 0 {
		return nil, errors.New(`mx is empty; a domain that takes no mail has the null MX: mx = "."`)
	}
	var list []wantedMX
	for _, text := range texts {
		w, err := parseMX(text)
		if err != nil {
			return nil, err
		}
		if w.host == "" && len(texts) > 1 {
			return nil, errors.New(`mx: the null MX "." must stand alone (RFC 7505, 3)`)
		}
		list = append(list, w)
	}
	return list, nil
}

// parseMX reads "mail.example.org" or "10 mail.example.org".
func parseMX(text string) (wantedMX, error) {
	m := mxPreference.FindStringSubmatch(text)
	if m == nil {
		return wantedMX{}, fmt.Errorf("mx: %q is neither a host nor a preference and a host", text)
	}
	w := wantedMX{preference: -1}
	if m[1] != "" {
		n, _ := strconv.Atoi(m[1])
		if n > 65535 {
			return w, fmt.Errorf("mx: a preference is at most 65535, not %d", n)
		}
		w.preference = n
	}
	if m[2] == "." {
		return w, nil
	}
	w.host = strings.ToLower(strings.TrimSuffix(m[2], "."))
	if _, err := netip.ParseAddr(w.host); err == nil {
		return w, fmt.Errorf("mx: an MX names a host, never an address (RFC 5321, 5.1): %q", text)
	}
	if !hostName.MatchString(w.host) || !strings.Contains(w.host, ".") {
		return w, fmt.Errorf("mx: %q is not the whole name of a host, such as \"mail.example.org\"", text)
	}
	return w, nil
}

// matchMX compares without regard to order.
func matchMX(want []wantedMX, have []authority.MX) bool {
	if len(want) != len(have) {
		return false
	}
	left := slices.Clone(have)
	// Those with a preference choose first: "a" may take any record of a, "10 a" only its own.
	sorted := slices.SortedStableFunc(slices.Values(want), func(x, y wantedMX) int { return min(y.preference, 0) - min(x.preference, 0) })
	for _, w := range sorted {
		i := slices.IndexFunc(left, func(m authority.MX) bool {
			return m.Host == w.host && (w.preference < 0 || int(m.Preference) == w.preference)
		})
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}

// mxHint names mistakes that are often made in zone files.
func mxHint(zone string, records []authority.MX) string {
	zone = strings.TrimSuffix(zone, ".")
	for _, m := range records {
		switch {
		case strings.HasSuffix(m.Host, "."+zone+"."+zone):
			return "a dot is missing at the end of the name in the zone file"
		case looksLikeAddress(strings.TrimSuffix(m.Host, "."+zone)):
			return "an MX names a host, never an address"
		case m.Host == "" && len(records) > 1:
			return "the null MX must stand alone (RFC 7505, 3)"
		}
	}
	return ""
}

func looksLikeAddress(name string) bool {
	_, err := authority.ParseServer(name)
	return err == nil
}
