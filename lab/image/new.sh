#!/bin/sh
# Makes the mail server of an ISPmail tutorial for Jessie of a Debian system with systemd.
. /provision/common.sh

administrator
mailbox_user
ssh_server
certificate
logging

systemd_units

postfix_base

if [ -e /etc/dovecot/dovecot-sql.conf.ext ]; then
	chown root:dovecot /etc/dovecot/dovecot-sql.conf.ext
	chmod 0640 /etc/dovecot/dovecot-sql.conf.ext
fi

database_up
tables | mysql --socket=/run/mysqld/mysqld.sock
database_down
