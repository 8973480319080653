# sqlite3: an indexed database, full-text search, queries, integrity.
. "$PROGRAMS/common.sh"
needs sqlite3

subject sqlite3 -batch work.db <"$INPUTS/work.sql"
# The file is a pure function of the statements.
digest work.db
subject sqlite3 -batch work.db .dump >dump.sql
digest dump.sql
subject sqlite3 -batch copy.db <dump.sql
subject sqlite3 -batch copy.db 'PRAGMA integrity_check; SELECT count(*) FROM event;'
