#!/bin/sh
# Sampled guard pages, the option "guard": which blocks get them, that correct programs
# see no difference, and that errors are told in fixed words and with stacks.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$top_builddir/test/guard_probe
ulimit -c 0

run() { # option, argument...
    option=$1
    shift
    status=0
    PYMALLOC=guard:100,$option "$probe" "$@" >"$scratch/log" 2>&1 || status=$?
}

show() {
    echo "status $status" >>"$scratch/log"
    note <"$scratch/log"
    return 1
}

# The words, the signal, and which stacks are told by the functions in them.
told() { # words, status, stacks, argument...
    words=$1 wanted=$2 stacks=$3
    shift 3
    run abort:1 "$@"
    [ "$status" -eq "$wanted" ] || show || return 1
    head -n 1 "$scratch/log" | grep -q \
        "^pymalloc: guard: $words: block 0x[0-9a-f]*, size $2, thread [0-9]*; the address is 0x[0-9a-f]*\$" ||
        show || return 1
    for stack in $stacks; do
        sed -n "/^pymalloc: guard: ${stack%:*} by thread/,/^pymalloc/p" "$scratch/log" |
            grep -q "${stack#*:}" || show || return 1
    done
}

harmless() {
    run abort:1 "$@"
    [ "$status" -eq 0 ] && same "$(cat "$scratch/log")" survived
}

# With abort:0 the line is written, and the program goes on.
goes_on() { # words, argument...
    words=$1
    shift
    run abort:0 "$@"
    [ "$status" -eq 0 ] && grep -q "^pymalloc: guard: $words: " "$scratch/log" &&
        grep -q '^survived$' "$scratch/log" || show
}

# 10,000 of a million, within a tenth: five times what chance would do.
frequent() {
    run abort:1 "$@"
    count=$(cat "$scratch/log")
    echo "$* with guard:100: $count of 1000000" | note
    [ "$status" -eq 0 ] && [ "$count" -gt "$least" ] && [ "$count" -lt 11000 ]
}

dies_alone() {
    run abort:1 "$@"
    [ "$status" -eq 139 ] && ! grep -q pymalloc "$scratch/log" || show
}

own_handler() {
    run abort:1 own-handler 24
    [ "$status" -eq 3 ] && same "$(cat "$scratch/log")" "own handler"
}

ignored() {
    (
        trap '' SEGV
        told "write after free" 139 freed:drop_block sent-ignored 24
    )
}

passes() { # program, case...
    status=0
    program=$1
    shift
    PYMALLOC=guard:20 "$top_builddir/test/$program" "$@" >"$scratch/log" 2>&1 || status=$?
    if [ "$status" -ne 0 ] || grep -q '^not ok\|^Bail out\|^pymalloc: ' "$scratch/log"; then
        show
    fi
}

none_without_it() {
    PYMALLOC='' "$probe" count 24 >"$scratch/log" && same "$(cat "$scratch/log")" 0
}

plan 58
check "without the option there are none" none_without_it
least=9000
check "a block that is freed at once" frequent count 24
check "another size" frequent count 512
check "a large one" frequent count 4000
least=1000 # there are no more places
check "blocks that are kept" frequent count-kept 24

for size in 1 24 100 512 4000 4096 65536; do
    check "$size: content" harmless content "$size"
    check "$size: a child of fork" harmless child "$size"
    check "$size: a write past the end" \
        told "write past the end of a block" 139 "found:main allocated:make_block" past "$size"
    check "$size: a write after free" \
        told "write after free" 139 "allocated:make_block freed:drop_block" use "$size"
    check "$size: a second free" \
        told "double free" 139 "allocated:make_block freed:drop_block found:drop_block" double "$size"
done
check "a read past the end" told "read past the end of a block" 139 "" read-past 24
check "a read after another thread's free" told "read after free" 139 freed:drop_block read-use 24
check "a write before the start" told "write before the start of a block" 139 "" before 24
check "a write just past the end" told "write past the end of a block" 134 found:drop_block slack 24
check "a write just before the start" told "write before the start of a block" 134 "" gap 24
check "realloc of a freed block" told "use of a freed block" 134 freed:drop_block realloc 24
check "abort:0 goes on after a write past the end" goes_on "write past the end of a block" past 24
check "abort:0 goes on after a read past the end" goes_on "read past the end of a block" read-past 24
check "abort:0 goes on after a write after free" goes_on "write after free" use 24
check "abort:0 goes on with a place that was written to" goes_on "write after free" reuse 24
check "abort:0 goes on after a second free" goes_on "double free" double 24
check "other faults are the program's own" dies_alone other-fault 24
check "so are signals that are sent" dies_alone sent 24
check "or ignored" ignored
check "a program's own handler is called" own_handler
check "stress_model" passes stress_model
check "stress_handoff" passes stress_handoff
check "life_fork" passes life_fork "several threads" "children of" "atfork"
done_testing
