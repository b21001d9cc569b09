// Package lab sets up throw-away Debian mail servers on this very machine: an old one in the shape of a Wheezy server of the
// ISPmail tutorial, a new one in the shape of Jessie's, and the DNS server that is authoritative for their domains. Each is
// a host of its own with address, host name, init system and sshd; none of them can reach anything outside the lab.
//
// [Up], [Reset], [Status] and [Down] do what the commands of the same names do. [Load] gives a program that examines
// the hosts everything it must know: addresses, keys, accounts with their passwords, and a way in that needs no SSH
// ([Host.Exec], [Host.Root]).
//
// A program that calls Up, Reset or [Lab.Start] must call [MaybeBootHost] first thing in main (a test: in TestMain),
// because the processes that become the hosts are that program, started again.
//
// Everything the lab makes on the machine has a fixed name with the prefix "runnerlab-", so that Down finds and removes
// it also when nothing is left of what Up knew.
package lab
