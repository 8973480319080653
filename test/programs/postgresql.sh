# postgresql: initdb, pgbench from four clients, queries, a dump and its restoration.
# limit: 300 s
. "$PROGRAMS/common.sh"
for directory in /usr/lib/postgresql/*/bin; do
    PATH=$directory:$PATH
done
needs initdb postgres psql pgbench pg_dump setpriv

# The server refuses to run as root.
as() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
    getent passwd postgres >/dev/null || skip "there is no user postgres"
    chown postgres .
    as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
export PGHOST="$WORK" PGUSER=postgres PGDATABASE=postgres

as subject initdb -D data -A trust -U postgres --no-sync --locale=C -E UTF8 >initdb.log
# With exec, the process id is that of the server.
(
    [ "$(id -u)" -ne 0 ] ||
        exec setpriv --reuid=postgres --regid=postgres --clear-groups subject postgres -D data \
            -k "$WORK" -h '' -F -c max_parallel_workers_per_gather=2 -c jit=on \
            -c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c work_mem=1MB
    exec subject postgres -D data -k "$WORK" -h '' -F
) >server.log 2>&1 &
server=$!
await psql -c 'select 1'

subject pgbench -q -i -s 4 2>pgbench.log
subject pgbench -n -c 4 -j 2 -t 600 --random-seed=7 >pgbench.log
grep 'actually processed' pgbench.log
subject pgbench -n -S -M prepared -c 4 -j 2 -t 2000 --random-seed=7 >pgbench.log
grep 'actually processed' pgbench.log
subject psql -X -q -A -t -f "$INPUTS/work.pgsql"

pg_dump -Fp --exclude-table-data=pgbench_history >dump.sql
createdb copy
psql -X -q -d copy -v ON_ERROR_STOP=1 -f dump.sql >restore.log
psql -X -A -t -d copy -c "select count(*), sum(abalance) from pgbench_accounts"
stop $server INT
if grep -E 'PANIC|terminated by signal' server.log >&2; then
    exit 1
fi
