#!/bin/sh
# Makes a web server of a Debian system: the old one has a small shop (pages, a program, a database), the new one has Apache and
# MariaDB as Debian installs them.
. /provision/common.sh

administrator
ssh_server
logging

if [ "$LAB_KIND" = new ]; then
	systemd_units
	exit
fi
sysvinit_scripts

site=/var/www/shop.example
cat >"$site/.htaccess" <<-'CONF'
	Options +ExecCGI -Indexes
	AddHandler cgi-script .cgi
	DirectoryIndex index.html
	<Files "app.cnf">
		Require all denied
	</Files>
CONF
chmod 0755 "$site/shop.cgi"
chown root:www-data "$site/app.cnf"
chmod 0640 "$site/app.cnf"
install -d -o www-data -g www-data -m 2755 "$site/receipts"
# Pictures of all sizes, some under two names, and a name with a blank and an umlaut.
mkdir -p "$site/pictures/thumbs"
n=0
while [ $n -lt 150 ]; do
	n=$((n + 1))
	head -c $((n * 37 % 4000 + n)) /dev/urandom >"$site/pictures/$n.jpg"
	[ $((n % 10)) -ne 0 ] || ln "$site/pictures/$n.jpg" "$site/pictures/thumbs/$n.jpg"
done
ln -s pictures/1.jpg "$site/logo.jpg"
printf 'Käse\n' >"$site/pictures/grüner Käse.txt"
chown -h www-data:www-data "$site/logo.jpg"

a2dissite -q 000-default >/dev/null
a2ensite -q shop.example >/dev/null
a2enmod -q cgid >/dev/null
old_database </etc/mysql/shop.sql
