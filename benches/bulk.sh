#!/bin/sh
# Inserts 100,000 rows of ten columns with one request, and prints the time beside that of
# psql running `insert … select from json_to_recordset` with the same body, and the server's
# peak memory beside the body's size. Fails when the time exceeds 1.3 of psql's or the memory
# three bodies. Starts a private PostgreSQL cluster and the server, and stops and removes both.
#
#   benches/bulk.sh [RUNS]      the best of so many is taken, 5 by default
#
# Needs curl, python3 and PostgreSQL's programs (Debian: apt install curl python3 postgresql).
# lib.sh names the variables that it heeds.
set -eu

RUNS=${1:-5}
cd "$(dirname "$0")/.."
NAME=benches/bulk.sh
. benches/lib.sh

need curl python3
begin
start_postgres -c shared_buffers=256MB -c max_wal_size=4GB
psql <<SQL
create table api.readings (
  id int primary key, station int not null, name text not null, note text, active boolean,
  temperature numeric, pressure double precision, at timestamptz, tags jsonb, kind text
);
grant select, insert, delete on api.readings to reader;
SQL

python3 - >"$WORK/body.json" <<'PYTHON'
import json
rows = [{
    "id": n, "station": n % 500, "name": f"reading number {n}", "note": f"it's the \"{n}th\" of them",
    "active": n % 3 == 0, "temperature": n / 100, "pressure": 1000 + n / 7,
    "at": f"2026-01-{1 + n % 28:02}T12:00:00Z", "tags": {"a": n, "b": [n, "x"]}, "kind": "usual",
} for n in range(100_000)]
print(json.dumps(rows), end="")
PYTHON
BODY_MB=$(stat -c %s "$WORK/body.json" | awk '{printf "%.1f", $1 / 1048576}')
cat >"$WORK/insert.sql" <<'SQL'
\set body `cat "$BODY_FILE"`
insert into api.readings select * from json_to_recordset(:'body') as r(
  id int, station int, name text, note text, active boolean, temperature numeric,
  pressure double precision, at timestamptz, tags jsonb, kind text
);
SQL

start_server
TOKEN=$(token)
seconds() { date +%s.%N; }
smallest() { sort -n | head -1; }
empty() { psql -c 'truncate api.readings' -c checkpoint; }
run=0
while [ $run -lt "$RUNS" ]; do
    run=$((run + 1))
    empty
    from=$(seconds)
    BODY_FILE="$WORK/body.json" psql -f "$WORK/insert.sql"
    echo "$from $(seconds)" >>"$WORK/psql.times"
    empty
    from=$(seconds)
    status=$(curl -s -o "$WORK/answer" -w '%{http_code}' -H "Authorization: Bearer $TOKEN" \
        -H 'Content-Type: application/json' --data-binary "@$WORK/body.json" \
        "http://127.0.0.1:$PORT/readings")
    echo "$from $(seconds)" >>"$WORK/server.times"
    [ "$status" = 201 ] || fail "the server answered $status: $(cat "$WORK/answer")"
    rows=$(psql -At -c 'select count(*) from api.readings')
    [ "$rows" = 100000 ] || fail "there are $rows rows"
done
best() { awk '{print $2 - $1}' "$1" | smallest; }

describe_machine
echo "body: $BODY_MB MB"
printf '%s %s %s %s\n' "$(best "$WORK/psql.times")" "$(best "$WORK/server.times")" \
    "$(memory_mb VmHWM)" "$MEMORY_AFTER_START" | awk -v body="$BODY_MB" '{
        printf "psql %.2f s, goldenkey %.2f s: ratio %.2f\n", $1, $2, $2 / $1
        printf "peak memory %.1f MB, %.1f above start: %.2f bodies\n", $3, $3 - $4, $3 / body
        exit $2 / $1 > 1.3 || $3 / body >= 3
    }'
