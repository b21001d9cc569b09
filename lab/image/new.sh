#!/bin/sh
# Makes the mail server of an ISPmail tutorial for Jessie of a Debian system with systemd.
. /provision/common.sh

accounts
ssh_server
certificate
logging

systemctl disable knot.service >/dev/null 2>&1 || :
for unit in console-getty.service getty@.service getty@tty1.service serial-getty@.service getty-static.service \
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
	man-db.timer systemd-pstore.service systemd-networkd-wait-online.service; do
	ln -sf /dev/null "/etc/systemd/system/$unit"
done

postfix_base

if [ -e /etc/dovecot/dovecot-sql.conf.ext ]; then
	chown root:dovecot /etc/dovecot/dovecot-sql.conf.ext
	chmod 0640 /etc/dovecot/dovecot-sql.conf.ext
fi

database_up
tables | mysql --socket=/run/mysqld/mysqld.sock
database_down
