#!/bin/sh
# Makes the mail server of an ISPmail tutorial for Wheezy of a bullseye system with sysvinit.
. /provision/common.sh

accounts
ssh_server
certificate
logging

# No terminals to log in at, no hardware to set up, no other file system to check.
sed -i -e '/getty/d' -e '/sulogin/d' /etc/inittab
# Links only: insserv would insist on what others say that they need.
for script in hwclock.sh checkroot.sh checkroot-bootclean.sh checkfs.sh procps urandom kmod mount-configfs brightness rsync sudo; do
	rm -f /etc/rc?.d/[SK][0-9][0-9]"$script"
done
# Wheezy calls the service so.
[ -e /etc/init.d/mysql ] || ln -s mariadb /etc/init.d/mysql

postfix_base
# Lenny's server leaves the case of an address as it is: mailboxes have names as they were typed in.
fold=hu
[ "$LAB_SHAPE" != lenny ] || fold=
postconf -M dovecot/unix="dovecot unix - n n - - pipe flags=DR$fold user=vmail:vmail argv=/usr/lib/dovecot/dovecot-lda -f \${sender} -d \${recipient}"

chown root:dovecot /etc/dovecot/dovecot-sql.conf.ext
chmod 0640 /etc/dovecot/dovecot-sql.conf.ext
# root has a password, and only the maintenance account of Debian knows its own without asking.
chmod 0600 /etc/mysql/debian.cnf

database_up
{
	tables
	cat <<-SQL
		CREATE USER 'debian-sys-maint'@'localhost' IDENTIFIED BY '$LAB_MAINT_PASSWORD';
		GRANT ALL PRIVILEGES ON *.* TO 'debian-sys-maint'@'localhost' WITH GRANT OPTION;
		ALTER USER 'root'@'localhost' IDENTIFIED VIA mysql_native_password USING PASSWORD('$LAB_DB_ROOT_PASSWORD');
	SQL
} | mysql --socket=/run/mysqld/mysqld.sock
rm -f /root/.my.cnf
mysqladmin --defaults-file=/etc/mysql/debian.cnf status >/dev/null
database_down --defaults-file=/etc/mysql/debian.cnf
