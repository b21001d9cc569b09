// Package mysql is what the mysql.* modules stand on: finding a login on a host, a session with its server however old,
// reading and comparing databases, and copying one from a server to another without ever showing half of it.
//
// Servers from MySQL 5.0 to MySQL 8 and MariaDB 11 are meant. What differs among them and is used here is written down
// where it is used.
package mysql
