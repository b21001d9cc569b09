// Package postfix reads what Postfix writes: master.cf, the list of its queue and its log. It reads and edits text and asks no host.
package postfix
