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
rm -f /var/lib/dovecot/instances /var/lib/dovecot/ssl-parameters.dat
mysql_as_root mysqladmin shutdown
wait "$database" || :
