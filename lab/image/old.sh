#!/bin/sh
# Makes the mail server of an ISPmail tutorial for Wheezy of a bullseye system with sysvinit.
. /provision/common.sh

administrator
mailbox_user
ssh_server
certificate
logging

sysvinit_scripts

postfix_base
# Lenny's server leaves the case of an address as it is: mailboxes have names as they were typed in.
fold=hu
[ "$LAB_SHAPE" != lenny ] || fold=
postconf -M dovecot/unix="dovecot unix - n n - - pipe flags=DR$fold user=vmail:vmail argv=/usr/lib/dovecot/dovecot-lda -f \${sender} -d \${recipient}"

chown root:dovecot /etc/dovecot/dovecot-sql.conf.ext
chmod 0640 /etc/dovecot/dovecot-sql.conf.ext
tables | old_database
