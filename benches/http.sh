#!/bin/sh
# Loads goldenkey over HTTP with a read of one row by key, with a token, and prints what it
# reaches beside what pgbench reaches when it sends PostgreSQL the same message on the same
# cores. Starts a private PostgreSQL cluster and the server, and stops and removes both.
#
#   benches/http.sh [SECONDS]       a measurement takes so long, 10 by default
#
# Needs wrk, curl, and PostgreSQL's programs (Debian: apt install wrk curl postgresql).
# lib.sh names the variables that it heeds.
set -eu

SECONDS_EACH=${1:-10}
CONNECTIONS="10 100"
ROWS=100000
PROBE_KEY=77777 # a key whose digits are found nowhere else in the message
POOL=10
PGBENCH_CLIENTS=10
cd "$(dirname "$0")/.."
NAME=benches/http.sh
. benches/lib.sh

need wrk curl
begin
start_postgres -c max_connections=150 -c log_line_prefix='@@ '
psql <<SQL
create table api.items (
  id int primary key, name text not null, price numeric not null,
  created timestamptz not null default now()
);
insert into api.items select n, 'item number ' || n, n / 100.0 from generate_series(1, $ROWS) n;
grant select on api.items to reader;
vacuum analyze api.items;
SQL

# --- the server ------------------------------------------------------------------------

# Its first run is for the log of what it sends.
psql -c "alter role authenticator set log_statement = 'all'"
start_server "db-pool = $POOL"
TOKEN=$(token)

# Requests for rows of random keys, or always the same one, with the token.
cat >"$WORK/load.lua" <<LUA
local headers = { Authorization = "Bearer $TOKEN" }
local key = tonumber(os.getenv("KEY"))
function init()
  math.randomseed(tonumber(tostring({}):match("0x(%x+)"), 16) % 2147483647)
end
function request()
  local id = key or math.random(1, $ROWS)
  return wrk.format("GET", "/items?id=eq." .. id, headers)
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %.6f %.3f %.3f %d\n",
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
LUA
load() { # CONNECTIONS SECONDS: prints requests, seconds, p50 ms, p99 ms, errors
    threads=2
    [ "$1" -ge 2 ] || threads=1
    wrk -t$threads -c"$1" -d"$2s" --timeout 30s -s "$WORK/load.lua" "http://127.0.0.1:$PORT" |
        sed -n 's/^RESULT //p'
}

cpu_ticks() { # user and system time of the server
    sed 's/.*) //' /proc/$SERVER_PID/stat | awk '{print $12 + $13}'
}

# --- pgbench with the message that the server sends --------------------------------------

# The last logged message with that word, in one line.
logged() {
    awk -v word="$1" '
        function keep() { if (index(message, word)) found = message }
        sub(/^@@ LOG:  statement: /, "") { keep(); message = $0; next }
        /^@@ / { keep(); message = ""; next }
        { sub(/^\t/, ""); message = message " " $0 }
        END { keep(); print found }' "$WORK/postgres.log"
}
# As a pgbench command: statements joined into one message, the key a variable.
as_command() {
    sed "s/;[[:space:]]*\$//; s/;/ \\\\;/g; s/$PROBE_KEY/:id/g; s/\$/;/"
}

KEY=$PROBE_KEY load 1 1 >/dev/null
stop_server
psql -c "alter role authenticator reset log_statement"
prepare=$(logged PREPARE)
message=$(logged EXECUTE)
[ -n "$message" ] || message=$(logged "$PROBE_KEY")
[ -n "$message" ] || fail "the server's message was not found in PostgreSQL's log"
{
    printf '%s\n' "\\set id random(1, $ROWS)"
    if [ -n "$prepare" ]; then
        printf '%s\n' '\if :prepared = 0'
        printf '%s\n' "$prepare" | as_command
        printf '%s\n' '\set prepared 1' '\endif'
    fi
    printf '%s\n' "$message" | as_command
} >"$WORK/message.sql"
pgbench() { # prints transactions a second
    "$PG_BIN/pgbench" -n -M simple -D prepared=0 -f "$WORK/message.sql" -c $PGBENCH_CLIENTS \
        -j 2 -T "$SECONDS_EACH" -h "$WORK/socket" -U authenticator postgres \
        2>"$WORK/pgbench.log" | awk '/^tps/ {printf "%.0f", $3}'
}

# --- the measurements --------------------------------------------------------------------

describe_machine
PGBENCH_RATE=$(pgbench)
[ -n "$PGBENCH_RATE" ] || fail "pgbench failed: $(cat "$WORK/pgbench.log")"
echo "pgbench, same message, $PGBENCH_CLIENTS clients: $PGBENCH_RATE transactions/s"
echo
start_server "db-pool = $POOL"
echo "memory after start: $MEMORY_AFTER_START MB"
echo
echo "| connections | requests/s | of pgbench | p50 ms | p99 ms | CPU us/request | errors |"
echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for connections in $CONNECTIONS; do
    load "$connections" 2 >/dev/null
    before=$(cpu_ticks)
    result=$(load "$connections" "$SECONDS_EACH")
    after=$(cpu_ticks)
    echo "$result" | awk -v n="$connections" -v ticks=$((after - before)) \
        -v hz="$(getconf CLK_TCK)" -v pgbench="$PGBENCH_RATE" '{
            printf "| %d | %.0f | %.2f | %.2f | %.2f | %.0f | %d |\n", n, $1 / $2,
                $1 / $2 / pgbench, $3, $4, ticks / hz * 1e6 / $1, $5
        }'
done
echo
echo "memory after load: $(memory_mb VmRSS) MB (highest: $(memory_mb VmHWM) MB)"
