#!/bin/bash
# What `make demo` does: moves the old mail server of the lab to the new one with the stock recipe, unattended, and proves it.
# The person who changes the MX records is played by a function below, at the moment when the recipe waits for that.
set -euo pipefail
cd "$(dirname "$0")/.."

runner=bin/runner
dir=/var/lib/runner-lab
site=$dir/site.lua
state=$dir/demo
recipe=recipes/wheezy-jessie.lua

title() { printf '\n### %s\n\n' "$*"; }

# Waits until the recipe has told which records to change, then changes them.
change_dns() {
  until grep -qs '"event":"task_start".*"task":"Switch the MX records"' "$state"/runs/*.jsonl; do sleep 0.3; done
  sleep 3 # so that the recipe is seen waiting
  for domain in "$@"; do "$runner" lab dns set mx "$domain" mail-new.example.net --ttl 60 >/dev/null; done
}

title "runner lab up: an old and a new mail server, and their name server"
"$runner" lab up
"$runner" lab reset >/dev/null
rm -rf "$state"
"$runner" lab prove --remember

title "runner --yes $recipe: the move"
change_dns example.org example.com kanzlei.example verein.example &
operator=$!
trap 'kill $operator 2>/dev/null || true' EXIT
"$runner" --yes --site "$site" --state "$state" "$recipe"
wait "$operator"

title "runner lab prove: is everything on the new server?"
"$runner" lab prove

title "the recipe again: nothing is left to do"
"$runner" --yes --restart --site "$site" --state "$state" "$recipe" > "$state/second.log"
sed -n '/^== recap/,$p' "$state/second.log"
if ! grep -Eq '^ok [0-9]+  changed 0  skipped 0  failed 0  unreachable 0$' "$state/second.log"; then
  echo "the second run changed something: $state/second.log" >&2
  exit 1
fi
echo
echo "The second run changed nothing. Look around: $runner lab shell new; remove everything: $runner lab down."
