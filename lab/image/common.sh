# Sourced by the provisioning scripts. Runs as PID 1 of a container without network, with the files of the image in place.
# LAB_* come from the environment.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

ip link set lo up
mkdir -p /run/mysqld /run/sshd
chown mysql:mysql /run/mysqld

administrator() {
	useradd -m -s /bin/bash -G sudo admin
	printf 'admin:%s\n' "$LAB_ADMIN_PASSWORD" | chpasswd
	install -d -o admin -g admin -m 0700 /home/admin/.ssh
	install -d -m 0700 /root/.ssh
}

mailbox_user() {
	groupadd -g 5000 vmail
	useradd -u 5000 -g vmail -d "$LAB_VMAIL" -M -s /usr/sbin/nologin vmail
	install -d -o vmail -g vmail -m 0770 "$LAB_VMAIL"
}

# A host with systemd needs none of these here.
systemd_units() {
	systemctl disable knot.service >/dev/null 2>&1 || :
	for unit in console-getty.service getty@.service getty@tty1.service serial-getty@.service getty-static.service \
		apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		man-db.timer systemd-pstore.service systemd-networkd-wait-online.service; do
		ln -sf /dev/null "/etc/systemd/system/$unit"
	done
}

# A host with sysvinit has no terminals to log in at, no hardware to set up, no other file system to check.
sysvinit_scripts() {
	sed -i -e '/getty/d' -e '/sulogin/d' /etc/inittab
	# Links only: insserv would insist on what others say that they need.
	for script in hwclock.sh checkroot.sh checkroot-bootclean.sh checkfs.sh procps urandom kmod mount-configfs brightness rsync sudo; do
		rm -f /etc/rc?.d/[SK][0-9][0-9]"$script"
	done
	# Wheezy calls the service so.
	[ -e /etc/init.d/mysql ] || ln -s mariadb /etc/init.d/mysql
}

# The keys of sshd belong to the lab and come with each boot.
ssh_server() {
	rm -f /etc/ssh/ssh_host_*
}

certificate() {
	openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$LAB_FQDN" -addext "subjectAltName=DNS:$LAB_FQDN" \
		-keyout /etc/ssl/private/mailserver.key -out /etc/ssl/certs/mailserver.pem 2>/dev/null
	chmod 0600 /etc/ssl/private/mailserver.key
}

# No kernel log in a container.
logging() {
	sed -i '/imklog/d' /etc/rsyslog.conf
}

postfix_base() {
	printf '%s\n' "$LAB_FQDN" >/etc/mailname
	cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
	printf 'postmaster: root\n' >/etc/aliases
	chown root:postfix /etc/postfix/mysql-*.cf
	chmod 0640 /etc/postfix/mysql-*.cf
	newaliases
	postfix check # makes the queue directories, in which Dovecot has its sockets
	postconf -M submission/inet='submission inet n - y - - smtpd'
	postconf -P submission/inet/syslog_name=postfix/submission submission/inet/smtpd_sasl_auth_enable=yes \
		submission/inet/smtpd_client_restrictions=permit_sasl_authenticated,reject
}

database_up() {
	mysqld_safe --skip-networking >/dev/null 2>&1 &
	n=0
	until mysqladmin --socket=/run/mysqld/mysqld.sock ping >/dev/null 2>&1; do
		n=$((n + 1))
		if [ $n -gt 300 ]; then
			echo "MariaDB does not start:" >&2
			tail -n 20 /var/log/mysql/error.log /var/lib/mysql/*.err >&2 2>/dev/null || :
			exit 1
		fi
		sleep 0.1
	done
}

# old_database: reads SQL for a server of Wheezy's time: root has a password, and only the maintenance account of Debian knows its
# own without asking.
old_database() {
	chmod 0600 /etc/mysql/debian.cnf
	database_up
	{
		cat
		cat <<-SQL
			CREATE USER 'debian-sys-maint'@'localhost' IDENTIFIED BY '$LAB_MAINT_PASSWORD';
			GRANT ALL PRIVILEGES ON *.* TO 'debian-sys-maint'@'localhost' WITH GRANT OPTION;
			ALTER USER 'root'@'localhost' IDENTIFIED VIA mysql_native_password USING PASSWORD('$LAB_DB_ROOT_PASSWORD');
		SQL
	} | mysql --socket=/run/mysqld/mysqld.sock
	rm -f /root/.my.cnf
	mysqladmin --defaults-file=/etc/mysql/debian.cnf status >/dev/null
	database_down --defaults-file=/etc/mysql/debian.cnf
}

# database_down OPTIONS...: how to log in
database_down() {
	mysqladmin "$@" shutdown
	wait
}

tables() {
	cat <<-SQL
		CREATE DATABASE mailserver;
		CREATE USER 'mailuser'@'127.0.0.1' IDENTIFIED BY '$LAB_MAILUSER_PASSWORD';
		GRANT SELECT ON mailserver.* TO 'mailuser'@'127.0.0.1';
		USE mailserver;
	SQL
	cat /etc/mysql/mailserver.sql
}
