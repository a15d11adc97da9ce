# What the scripts here share: the binary to measure, a private PostgreSQL cluster, a server,
# and that nothing of them is left behind. To be sourced by a script that runs at the
# repository's root and has set NAME, its own name for messages.
#
# GOLDENKEY_BIN names another binary than the release build, GOLDENKEY_PG_BIN the folder of
# PostgreSQL's programs, SERVER_CONF holds more lines for the configuration file.

fail() {
    echo "$NAME: $*" >&2
    exit 1
}

need() { # PROGRAM...
    for program in "$@"; do
        command -v "$program" >/dev/null || fail "$program was not found (Debian: apt install $program)"
    done
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

# Sets PG_BIN, GOLDENKEY_BIN and WORK, a folder that is removed at the end with all that runs.
begin() {
    PG_BIN=$(find_pg_bin)
    if [ -z "${GOLDENKEY_BIN:-}" ]; then
        cargo build --release --quiet
        GOLDENKEY_BIN=${CARGO_TARGET_DIR:-target}/release/goldenkey
    fi
    WORK=$(mktemp -d)
    chmod 755 "$WORK"
    POSTGRES_PID=
    SERVER_PID=
    PIDS= # of whatever else is to be ended
    trap finish EXIT
    trap 'exit 130' INT TERM
}

finish() {
    trap - EXIT INT TERM
    for pid in $PIDS $SERVER_PID; do kill "$pid" 2>/dev/null || true; done
    [ -z "$POSTGRES_PID" ] || kill -INT "$POSTGRES_PID" 2>/dev/null || true
    wait
    rm -rf "$WORK"
}

# Starts PostgreSQL, reachable in $WORK/socket only, with the options given, and makes the
# roles web_anon, reader and authenticator and the schema api.
start_postgres() { # OPTION...
    mkdir "$WORK/data" "$WORK/socket"
    as_postgres=
    if [ "$(id -u)" = 0 ]; then
        user=postgres
        id -u $user >/dev/null 2>&1 || user=nobody
        chown $user "$WORK/data" "$WORK/socket"
        as_postgres="setpriv --reuid=$user --regid=$(id -g $user) --clear-groups"
    fi
    chmod 700 "$WORK/data"
    # shellcheck disable=SC2086 # $as_postgres is a command with arguments, or nothing
    (cd / && $as_postgres "$PG_BIN/initdb" -D "$WORK/data" -U postgres -A trust -E UTF8 \
        --locale=C --no-sync >/dev/null)
    # shellcheck disable=SC2086
    (cd / && exec $as_postgres "$PG_BIN/postgres" -D "$WORK/data" -k "$WORK/socket" \
        -c listen_addresses= "$@" 2>"$WORK/postgres.log") &
    POSTGRES_PID=$!
    tries=0
    until psql -c 'select 1' >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 150 ] || fail "PostgreSQL did not start: $(cat "$WORK/postgres.log")"
        sleep 0.2
    done
    psql -c 'create role web_anon nologin' -c 'create role reader nologin' \
        -c 'create role authenticator login noinherit' \
        -c 'grant web_anon, reader to authenticator' \
        -c 'create schema api' -c 'grant usage on schema api to web_anon, reader'
}

psql() {
    "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$WORK/socket" -U postgres "$@"
}

# Starts goldenkey on $PORT with a configuration for the cluster and the lines given, and waits
# until it answers. Sets SERVER_PID, PORT, and MEMORY_AFTER_START in MB.
start_server() { # LINE...
    PORT=$((20000 + $$ % 10000))
    {
        echo "db-uri = \"postgresql://authenticator@$(echo "$WORK/socket" | sed 's|/|%2F|g')/postgres\""
        printf '%s\n' 'db-schemas = "api"' 'db-anon-role = "web_anon"' \
            'jwt-secret = "a secret that is long enough for HS256"' \
            'server-host = "127.0.0.1"' "server-port = $PORT" 'log-level = "error"' \
            "$@" "${SERVER_CONF:-}"
    } >"$WORK/server.conf"
    "$GOLDENKEY_BIN" "$WORK/server.conf" >"$WORK/server.log" 2>&1 &
    SERVER_PID=$!
    tries=0
    until curl -so /dev/null -f -H "Authorization: Bearer $(token)" "http://127.0.0.1:$PORT/"; do
        kill -0 $SERVER_PID 2>/dev/null || fail "the server ended: $(cat "$WORK/server.log")"
        tries=$((tries + 1))
        [ $tries -lt 50 ] || fail "the server gives no good answers: $(cat "$WORK/server.log")"
        sleep 0.2
    done
    MEMORY_AFTER_START=$(memory_mb VmRSS)
}

stop_server() {
    kill $SERVER_PID
    wait $SERVER_PID || true
    SERVER_PID=
}

token() { # a token for the role reader
    "$GOLDENKEY_BIN" token "$WORK/server.conf" --role reader
}

memory_mb() { # the server's memory that is in RAM, or its highest so far: VmRSS, VmHWM
    awk -v field="$1:" '$1 == field {printf "%.1f", $2 / 1024}' /proc/$SERVER_PID/status
}

describe_machine() {
    echo "machine:  $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)"
    echo "versions: $("$GOLDENKEY_BIN" --version), $("$PG_BIN/postgres" --version)"
    # It gives each session of PostgreSQL as large a share as the whole of goldenkey, and lets
    # some starve for a tenth of a second; what systemd starts is not subject to it.
    if [ "$(cat /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null)" = 1 ]; then
        echo "note:     kernel.sched_autogroup_enabled is 1, which spoils the p99"
    fi
}
