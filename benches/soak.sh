#!/bin/sh
# Soaks goldenkey: mixed load, clients that misbehave, killed database sessions and reloads, for
# 20 minutes or as long as it is told, and prints memory, threads and descriptors every ten
# seconds. They must be flat: it fails when the peak of the last quarter exceeds that of the
# second by more than a tenth and 4 MiB of memory, 2 threads, or a tenth and 20 descriptors.
#
#   benches/soak.sh [MINUTES]
#
# Needs wrk, curl, python3 and PostgreSQL's programs (Debian: apt install wrk curl python3
# postgresql). lib.sh names the variables that it heeds.
set -eu

MINUTES=${1:-20}
cd "$(dirname "$0")/.."

NAME=benches/soak.sh
. benches/lib.sh

need wrk curl python3
begin
start_postgres
psql <<SQL
create table api.items as select n as id, 'item ' || n as name from generate_series(1, 20000) n;
alter table api.items add primary key (id);
grant select, insert, update, delete on api.items to web_anon;
create function api.wait(seconds float) returns void language sql as
  'select pg_sleep(seconds)';
SQL

start_server

# --- load and faults -------------------------------------------------------------------

END=$(($(date +%s) + MINUTES * 60))
going_on() { [ "$(date +%s)" -lt $END ]; }

(while going_on; do
    wrk -t1 -c8 -d10s "http://127.0.0.1:$PORT/items?id=eq.77" >/dev/null
    wrk -t1 -c4 -d5s "http://127.0.0.1:$PORT/items?limit=2000" >/dev/null
done) &
PIDS="$PIDS $!"
(while going_on; do
    sleep 5
    kill -USR1 $SERVER_PID
    sleep 5
    kill -USR2 $SERVER_PID
done) &
PIDS="$PIDS $!"
(while going_on; do
    sleep 17
    psql -c "select pg_terminate_backend(pid) from pg_stat_activity
             where usename = 'authenticator'" >/dev/null 2>&1 || true
done) &
PIDS="$PIDS $!"
python3 - "$PORT" $END <<'PYTHON' &
"""Clients that misbehave: they leave, stall, send nonsense, and write."""
import random, socket, sys, time

port, end = int(sys.argv[1]), int(sys.argv[2])
ODD = [
    b"GET /items HTTP/1.1\nHost: x\n\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n",
    b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST /items HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
]
LEAVE = b"GET /rpc/wait?seconds=5 HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = b"GET /items HTTP/1.1\r\nHost: x\r\n\r\n"
STALL = b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n["
WRITE = (b"PATCH /items?id=eq.%d HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
         b"Content-Length: 14\r\n\r\n{\"name\":\"new\"}")

held = []
while time.time() < end:
    try:
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        kind = random.randrange(5)
        if kind == 0:
            client.sendall(random.choice(ODD))
            client.recv(4096)
        elif kind == 1:
            client.sendall(LEAVE)
            time.sleep(0.1)
        elif kind == 2:
            client.sendall(random.choice([BIG, STALL]))
            held.append((time.time() + 20, client))
            client = None
        elif kind == 3:
            client.sendall(WRITE % random.randrange(1, 20000))
            client.recv(4096)
        if client:
            client.close()
    except OSError:
        pass
    while held and held[0][0] < time.time():
        held.pop(0)[1].close()
    time.sleep(0.02)
PYTHON
PIDS="$PIDS $!"

# --- watching --------------------------------------------------------------------------

status() { awk -v field="$1:" '$1 == field {print $2}' /proc/$SERVER_PID/status; }
echo "seconds  memory KiB  threads  descriptors"
STARTED=$(date +%s)
while going_on; do
    sleep 10
    kill -0 $SERVER_PID 2>/dev/null || fail "the server ended: $(tail -5 "$WORK/server.log")"
    printf '%7d %11d %8d %12d\n' $(($(date +%s) - STARTED)) "$(status VmRSS)" \
        "$(status Threads)" "$(ls /proc/$SERVER_PID/fd | wc -l)" | tee -a "$WORK/samples"
done
awk '
    { memory[NR] = $2; threads[NR] = $3; descriptors[NR] = $4 }
    function peak(values, from, to,  n, most) {
        for (n = from; n <= to; n++) if (values[n] > most) most = values[n]
        return most
    }
    function check(name, values, factor, slack,  before, after) {
        before = peak(values, int(NR / 4) + 1, int(NR / 2))
        after = peak(values, int(NR * 3 / 4) + 1, NR)
        printf "%s: peak of the second quarter %d, of the last %d\n", name, before, after
        if (after > before * factor + slack) { print name " grew"; failed = 1 }
    }
    END {
        check("memory", memory, 1.1, 4096)
        check("threads", threads, 1, 2)
        check("descriptors", descriptors, 1.1, 20)
        exit failed
    }' "$WORK/samples"
