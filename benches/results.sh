#!/bin/sh
# Reads a text and a bytea of 50 MB that functions return, and prints the server's peak memory
# beside the size of the result. Fails when more than two copies were alive: a bytea comes from
# PostgreSQL in hexadecimal, which counts for two. Starts a private PostgreSQL cluster and the
# server, and stops and removes both.
#
#   benches/results.sh
#
# Needs curl and PostgreSQL's programs (Debian: apt install curl postgresql). lib.sh names the
# variables that it heeds.
set -eu

cd "$(dirname "$0")/.."
NAME=benches/results.sh
. benches/lib.sh

SIZE=50000000
need curl
begin
start_postgres
psql <<SQL
create domain api."application/octet-stream" as bytea;
create domain api."text/plain" as text;
create function api.long_text() returns api."text/plain" language sql stable as
  \$\$ select repeat('0123456789', $SIZE / 10) \$\$;
create function api.long_bytes() returns api."application/octet-stream" language sql stable as
  \$\$ select repeat('0123456789', $SIZE / 10)::bytea \$\$;
SQL
describe_machine
status=0
for result in long_text:text/plain long_bytes:application/octet-stream; do
    # Of each by itself: the peak is that of the process.
    start_server
    got=$(curl -s -w '%{size_download}' -o /dev/null -H "Authorization: Bearer $(token)" \
        -H "Accept: ${result#*:}" "http://127.0.0.1:$PORT/rpc/${result%:*}")
    [ "$got" = $SIZE ] || fail "$got bytes came instead of $SIZE"
    printf '%s %s %s\n' "${result%:*}" "$(memory_mb VmHWM)" "$MEMORY_AFTER_START" |
        awk -v size=$SIZE '{
            copies = ($2 - $3) * 1048576 / size
            printf "%s: peak memory %.1f MB, %.2f of the result above start\n", $1, $2, copies
            exit copies > 2.1
        }' || status=1
    stop_server
done
exit $status
