#!/bin/sh
# Loads goldenkey over HTTP with a read of one row by key, with a token, and prints what it
# reaches beside what pgbench reaches when it sends PostgreSQL the same message on the same
# cores. Starts a private PostgreSQL cluster and the server, and stops and removes both.
#
#   benches/http.sh [SECONDS]       a measurement takes so long, 10 by default
#
# Needs wrk, pgbench and PostgreSQL's server programs (Debian: apt install wrk postgresql).
# GOLDENKEY_BIN names another binary than the release build, GOLDENKEY_PG_BIN the folder of
# PostgreSQL's programs, SERVER_CONF holds more lines for the configuration file.
set -eu

SECONDS_EACH=${1:-10}
CONNECTIONS="10 100"
ROWS=100000
PROBE_KEY=77777 # a key whose digits are found nowhere else in the message
POOL=10
PGBENCH_CLIENTS=10
cd "$(dirname "$0")/.."

fail() {
    echo "benches/http.sh: $*" >&2
    exit 1
}

find_pg_bin() {
    for folder in "${GOLDENKEY_PG_BIN:-}" $(echo "$PATH" | tr : ' ') \
        "$(pg_config --bindir 2>/dev/null)" \
        $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && [ -x "$folder/pgbench" ]; then
            echo "$folder"
            return
        fi
    done
    fail "PostgreSQL's server programs were not found (Debian: apt install postgresql)"
}

command -v wrk >/dev/null || fail "wrk was not found (Debian: apt install wrk)"
PG_BIN=$(find_pg_bin)
if [ -z "${GOLDENKEY_BIN:-}" ]; then
    cargo build --release --quiet
    GOLDENKEY_BIN=${CARGO_TARGET_DIR:-target}/release/goldenkey
fi

WORK=$(mktemp -d)
POSTGRES_PID=
SERVER_PID=
finish() {
    trap - EXIT INT TERM
    [ -z "$SERVER_PID" ] || kill "$SERVER_PID" 2>/dev/null || true
    [ -z "$POSTGRES_PID" ] || kill -INT "$POSTGRES_PID" 2>/dev/null || true
    wait
    rm -rf "$WORK"
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- PostgreSQL ------------------------------------------------------------------------

chmod 755 "$WORK"
mkdir "$WORK/data" "$WORK/socket"
as_postgres=
if [ "$(id -u)" = 0 ]; then
    user=postgres
    id -u $user >/dev/null 2>&1 || user=nobody
    chown $user "$WORK/data" "$WORK/socket"
    as_postgres="setpriv --reuid=$user --regid=$(id -g $user) --clear-groups"
fi
chmod 700 "$WORK/data"

(cd / && $as_postgres "$PG_BIN/initdb" -D "$WORK/data" -U postgres -A trust -E UTF8 \
    --locale=C --no-sync >/dev/null)
# shellcheck disable=SC2086 # $as_postgres is a command with arguments, or nothing
(cd / && exec $as_postgres "$PG_BIN/postgres" -D "$WORK/data" -k "$WORK/socket" \
    -c listen_addresses= -c max_connections=150 -c log_line_prefix='@@ ' \
    2>"$WORK/postgres.log") &
POSTGRES_PID=$!

psql() {
    "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$WORK/socket" -U postgres "$@"
}
tries=0
until psql -c 'select 1' >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 150 ] || fail "PostgreSQL did not start: $(cat "$WORK/postgres.log")"
    sleep 0.2
done
psql <<SQL
create role web_anon nologin;
create role reader nologin;
create role authenticator login noinherit;
grant web_anon, reader to authenticator;
create schema api;
create table api.items (
  id int primary key, name text not null, price numeric not null,
  created timestamptz not null default now()
);
insert into api.items select n, 'item number ' || n, n / 100.0 from generate_series(1, $ROWS) n;
grant usage on schema api to reader;
grant select on api.items to reader;
vacuum analyze api.items;
SQL

# --- the server ------------------------------------------------------------------------

PORT=$((20000 + $$ % 10000))
HOST=$(echo "$WORK/socket" | sed 's|/|%2F|g')
cat >"$WORK/server.conf" <<CONF
db-uri = "postgresql://authenticator@$HOST/postgres"
db-schemas = "api"
db-anon-role = "web_anon"
db-pool = $POOL
jwt-secret = "a secret that is long enough for HS256"
server-host = "127.0.0.1"
server-port = $PORT
log-level = "error"
${SERVER_CONF:-}
CONF
TOKEN=$("$GOLDENKEY_BIN" token "$WORK/server.conf" --role reader)

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

start_server() {
    "$GOLDENKEY_BIN" "$WORK/server.conf" >"$WORK/server.log" 2>&1 &
    SERVER_PID=$!
    sleep 1
    MEMORY_AFTER_START=$(memory_mb VmRSS)
    tries=0
    until [ "$(KEY=1 load 1 1 | awk '{print ($1 > 0 && $5 == 0)}')" = 1 ]; do
        kill -0 $SERVER_PID 2>/dev/null || fail "the server ended: $(cat "$WORK/server.log")"
        tries=$((tries + 1))
        [ $tries -lt 10 ] || fail "the server gives no good answers: $(cat "$WORK/server.log")"
    done
}
stop_server() {
    kill $SERVER_PID
    wait $SERVER_PID || true
    SERVER_PID=
}
cpu_ticks() { # user and system time of the server
    sed 's/.*) //' /proc/$SERVER_PID/stat | awk '{print $12 + $13}'
}
memory_mb() { # the server's memory that is in RAM, or its highest so far: VmRSS, VmHWM
    awk -v field="$1:" '$1 == field {printf "%.1f", $2 / 1024}' /proc/$SERVER_PID/status
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

psql -c "alter role authenticator set log_statement = 'all'"
start_server
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

echo "machine:  $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)"
echo "versions: $("$GOLDENKEY_BIN" --version), $("$PG_BIN/postgres" --version)"
PGBENCH_RATE=$(pgbench)
[ -n "$PGBENCH_RATE" ] || fail "pgbench failed: $(cat "$WORK/pgbench.log")"
echo "pgbench, same message, $PGBENCH_CLIENTS clients: $PGBENCH_RATE transactions/s"
echo
start_server
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
