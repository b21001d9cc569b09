#!/bin/sh
# The shop. GET shows what is in stock. POST takes an order, shop.cgi?REFERENCE: a row of the database and a receipt beside this
# file; what is answered with "order" is in both.
umask 022
cd "${0%/*}" || exit 1

db() { mysql --defaults-file=app.cnf --batch --skip-column-names shop; }

sorry() {
	printf 'Status: 500 Internal Server Error\nContent-Type: text/plain\n\nThe shop is out of order.\n'
	exit
}

if [ "$REQUEST_METHOD" = POST ]; then
	ref=$(printf %s "$QUERY_STRING" | tr -cd 'a-z0-9-')
	number=$(printf "BEGIN; SELECT id INTO @product FROM products WHERE id = 1 FOR UPDATE;
		INSERT INTO orders (ref, product) VALUES ('%s', @product); SELECT LAST_INSERT_ID(); COMMIT;\n" "$ref" | db) || sorry
	printf 'Order %s, reference %s\n' "$number" "$ref" >"receipts/$ref.txt" || sorry
	printf 'Content-Type: text/plain\n\norder %s\n' "$number"
	exit
fi
stock=$(printf 'SELECT name, stock FROM products ORDER BY id;\n' | db) || sorry
printf 'Content-Type: text/plain; charset=utf-8\n\nIn stock:\n%s\n' "$stock"
