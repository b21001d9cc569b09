#!/bin/sh
# Fills the database and lets Dovecot open every mailbox as its user would. Runs as PID 1 of a container without network.
set -eu
ip link set lo up
mkdir -p /run/mysqld /run/dovecot
chown mysql:mysql /run/mysqld

mysql_as_root() {
	command=$1
	shift
	if [ -s /etc/mysql/debian.cnf ] && grep -q debian-sys-maint /etc/mysql/debian.cnf; then
		"$command" --defaults-file=/etc/mysql/debian.cnf "$@"
	else
		"$command" "$@"
	fi
}

mysqld_safe --bind-address=127.0.0.1 >/dev/null 2>&1 &
database=$!
n=0
until mysql_as_root mysqladmin ping >/dev/null 2>&1; do
	n=$((n + 1))
	if [ $n -gt 300 ]; then
		echo "MariaDB does not start:" >&2
		tail -n 20 /var/log/mysql/error.log /var/lib/mysql/*.err >&2 2>/dev/null || :
		exit 1
	fi
	sleep 0.1
done
mysql_as_root mysql </provision/seed.sql

dovecot -F >/provision/dovecot.log 2>&1 &
server=$!
n=0
until doveadm user "$(ls /provision/imap | head -n 1)" >/dev/null 2>&1; do
	n=$((n + 1))
	if [ $n -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
		echo "Dovecot does not start:" >&2
		tail -n 20 /provision/dovecot.log >&2
		exit 1
	fi
	sleep 0.1
done

# An IMAP session per user, two at a time.
session() {
	cat "/provision/imap/$1" | doveadm exec imap -u "$1" 2>&1 | cat >"/provision/answer.$1"
	if ! grep -q '^a OK .*ogout' "/provision/answer.$1" || grep -E '^a (NO|BAD) ' "/provision/answer.$1"; then
		echo "The IMAP session of $1 failed:" >&2
		tail -n 10 "/provision/answer.$1" >&2
		exit 1
	fi
}
odd=
for user in $(ls /provision/imap); do
	session "$user" &
	if [ -n "$odd" ]; then
		wait "$odd"
		wait "$!"
		odd=
	else
		odd=$!
	fi
done
[ -z "$odd" ] || wait "$odd"

kill "$server"
wait "$server" || :

# Control files as Dovecot 1.0 wrote them: version 1 of dovecot-uidlist, names of subscriptions one to a line, its own caches.
as_lenny() {
	find "$LAB_VMAIL" \( -name 'dovecot.index*' -o -name 'dovecot.list.index*' -o -name 'dovecot.mailbox.log*' -o -name 'dovecot-uidvalidity*' \) -delete
	find "$LAB_VMAIL" -name dovecot-uidlist -exec sh -c 'for f; do
		awk '"'"'NR == 1 { for (i = 2; i <= NF; i++) { if ($i ~ /^V/) v = substr($i, 2); if ($i ~ /^N/) n = substr($i, 2) } next }
			{ name = substr($0, index($0, " :") + 2); sub(/:2,.*/, "", name); lines = lines $1 " " name "\n"; if ($1 >= n) n = $1 + 1 }
			END { printf "1 %s %s\n%s", v, n, lines }'"'"' "$f" >/provision/list && cat /provision/list >"$f"
	done' sh {} +
	find "$LAB_VMAIL" -name subscriptions -exec sh -c 'for f; do
		sed -e "1{/^V/d}" -e "/^\$/d" -e "s/	/./g" "$f" >/provision/list && cat /provision/list >"$f"
	done' sh {} +
}
[ "$LAB_SHAPE" != lenny ] || as_lenny
rm -f /var/lib/dovecot/instances /var/lib/dovecot/ssl-parameters.dat
mysql_as_root mysqladmin shutdown
wait "$database" || :
