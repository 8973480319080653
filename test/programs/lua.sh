# lua: tables, strings, closures, coroutines, garbage collection.
. "$PROGRAMS/common.sh"
needs lua5.4
subject lua5.4 "$INPUTS/work.lua"
