#!/bin/sh
# The tests of the object layer under memcheck: those that are small enough for it.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

have valgrind || plan_skip "valgrind is not installed"
valgrind -q true 2>/dev/null || plan_skip "valgrind does not work here"

# clean PROGRAM CASE...: passes, and has no errors and no leaks.
clean() {
    program=$top_builddir/test/$1
    shift
    status=0
    PYM_TEST_TIMEOUT=300 valgrind -q --error-exitcode=99 --leak-check=full \
        --errors-for-leak-kinds=definite --show-leak-kinds=definite \
        "$program" "$@" >"$scratch/log" 2>&1 || status=$?
    if ! grep -q '^ok' "$scratch/log"; then
        echo "no case has passed" >>"$scratch/log"
        status=1
    fi
    if [ "$status" -ne 0 ] || grep -q '^not ok\|^Bail out\|^==' "$scratch/log"; then
        echo "status $status" >>"$scratch/log"
        grep -v '^ok' "$scratch/log" | head -n 60 | note
        return 1
    fi
}

plan 10
check "objects" clean gc_object
check "graphs" clean gc_graph "random graphs that change"
check "misuse" clean gc_inspect
check "CPython's cases: gc" clean gc_cpython_gc
check "CPython's cases: gc, events" clean gc_cpython_events
check "CPython's cases: finalization" clean gc_cpython_finalization
check "CPython's cases: weakref" clean gc_cpython_weakref
check "without memory" clean gc_memory "no garbage" "objects die" "end of a heap" \
    "other calls"
check "what is seen" clean gc_view "census" "generations" "cycles are" "examples" "kept" \
    "overlooked" "unknown" "ages of those" "bounds" "damaged" "small graph" "colours" \
    "reasons" "names" "callbacks"
check "forks" clean gc_fork "finalizer" "dealloc"
done_testing
