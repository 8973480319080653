# python: objects, text, JSON, SQLite, decimals, threads, processes, all on malloc.
. "$PROGRAMS/common.sh"
needs python3

# Without this, CPython serves small blocks from pools of its own.
export PYTHONMALLOC=malloc PYTHONHASHSEED=0
subject python3 "$INPUTS/work.py"
