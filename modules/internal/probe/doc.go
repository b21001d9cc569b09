// Package probe talks to mail and other TCP servers as their clients do, in order to say whether they serve: it connects,
// negotiates TLS, judges certificates, delivers a marked mail (SMTP) and finds it again (IMAP).
//
// Connections are made by a function, so that a server can be probed from this machine or from a host of a recipe. No use is
// made of deadlines, which connections through SSH do not know: the end of a context closes the connection.
package probe
