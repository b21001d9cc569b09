// Package authority asks the authoritative name servers of a zone, each at each of its addresses, what they say.
//
// There is no propagation in the DNS: there are authoritative servers that agree or do not, and caches that expire. What
// a resolver says is what was so at most a TTL ago; so a resolver is only asked where the servers of a zone are, and the
// servers themselves are asked, without recursion, for what they hold (RFC 1034, 4.3.1). An answer counts when it is
// marked authoritative. A server that does not answer, or not with authority, is unknown, and unknown is never agreement.
package authority
