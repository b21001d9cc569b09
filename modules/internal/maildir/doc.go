// Package maildir moves the mailboxes below one directory of a host to another host and compares them.
//
// A pass has two halves. [Look] lists both sides and works out what is to be done; it writes nothing. [Pass.Apply] does
// it. What a pass knows of Maildir makes it cheaper and safer than a file synchroniser: a message never changes and its
// name up to ":2," identifies it, so that a change of flags is a rename on the target, and its body is never sent twice.
//
//	names.go     what a name says: base and flags, caches, paths that can be trusted
//	stream.go    a program on a host whose output is read under a watchdog
//	listing.go   the two listings (directories and files; messages) and their parsers
//	layout.go    where accounts lie on a side, by the pattern of a path; place.go: where on the other side
//	tree.go      directories, mailboxes, homes and files of one side; doubt.go: what only seems to be a mailbox
//	table.go     the messages of one mailbox, compactly, found by base name
//	compare*.go  both sides against each other: the work to do
//	worklist.go  that work, compressed in memory
//	fetch.go     messages from the source: a tar stream of which nothing is trusted
//	converge.go  warm passes, repeated until they are short
//	compress.go  whether that stream is compressed on its way
//	writer*.go   the target: system calls where it is this machine, else a small Perl program
//	record.go    what is kept beside the target's root: manifest of the final pass, the live mark
//	verify*.go   an independent comparison of both sides
//
// The source needs a POSIX shell, find, xargs and tar as old as Debian 5's. A target that is not this machine needs
// perl-base and what the source needs.
package maildir
