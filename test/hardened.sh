#!/bin/sh
# The hardened library does what the plain one does: the same symbols, and programs
# that do nothing wrong pass their tests on it.  What it catches: test/abuse.sh.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

hardened=$top_builddir/lib/.libs/libpymalloc-hardened.so

# Under it, whatever the program is linked with.
under() {
    status=0
    LD_PRELOAD="$hardened" "$@" >"$scratch/log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ] || grep -q '^not ok\|^Bail out\|^pymalloc: ' "$scratch/log"; then
        echo "status $status" >>"$scratch/log"
        tail -n 40 "$scratch/log" | note
        return 1
    fi
}

exported() {
    nm -D --defined-only "$hardened" | sed 's/.* //' | sort -u >"$scratch/exported"
    grep -v '^pygc_' "$top_srcdir/test/symbols.expected" >"$scratch/expected"
    quietly diff "$scratch/expected" "$scratch/exported"
}

# The library that the program is linked with does not know the option, and says so.
overwritten() {
    LD_PRELOAD="$hardened" PYMALLOC=zero:1 "$top_builddir/test/mem_release" \
        "free touches no pages" >"$scratch/log" 2>/dev/null || {
        note <"$scratch/log"
        return 1
    }
}

script='
import json, threading
def work():
    data = [{str(i): list(range(i % 50))} for i in range(4000)]
    assert json.loads(json.dumps(data)) == data
threads = [threading.Thread(target=work) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
'

python() {
    PYTHONMALLOC=malloc under python3 -S -c "$script"
}

# None of those that know which blocks lie in pools, or count them.
programs='api_aligned cxx_replaced cxx_thread life_fork life_order life_plugin
    life_thread mem_release stress_handoff stress_model'

# The plain library has many more.
PYM_TEST_FORKS=300
export PYM_TEST_FORKS

plan 18
have nm && check "it exports the same symbols" exported ||
    skip "it exports the same symbols" "nm is not installed"
for program in $programs; do
    check "$program" under "$top_builddir/test/$program"
done
PYMALLOC=guard:20
export PYMALLOC
check "stress_model with guarded blocks" under "$top_builddir/test/stress_model"
unset PYMALLOC
check "mem_release with what is freed overwritten" overwritten
have python3 && check "python3" python || skip "python3" "it is not installed"
check "compiler" under "$CC" -O2 -D_GNU_SOURCE -o "$scratch/probe" -I"$top_srcdir/include" \
    "$top_srcdir/test/limit_probe.c" -c
check "shell" under sh -c 'i=0; while [ $i -lt 2000 ]; do a="$a$i"; i=$((i + 1)); done'
check "awk" under awk 'BEGIN { for (i = 0; i < 100000; i++) a[i] = i "x"; exit !(length(a) == 100000) }'
check "sort" under sort -o "$scratch/sorted" "$top_srcdir"/lib/alloc.c
done_testing
