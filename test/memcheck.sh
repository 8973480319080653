#!/bin/sh
# Errors of a program under libpymalloc that memcheck finds are those that it finds
# without: each one, with the same size of block, and the same leaks.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

have valgrind || plan_skip "valgrind is not installed"
valgrind -q true 2>/dev/null || plan_skip "valgrind does not work here"
grep -q '^#define HAVE_VALGRIND_VALGRIND_H' "$top_builddir/config.h" ||
    plan_skip "built without valgrind's headers"

# find_errors NAME FLAGS...: what memcheck says of the probe, into the file NAME.log; into
# NAME what must be the same everywhere: not stacks, addresses, and what was allocated
# in all.  The leaks come last, in the order of their text, and of these what is lost is
# lost: any word that lies where pointers may, such as a hash of a symbol's version in the
# loader's tables, may point into a block by chance, and then memcheck calls it possibly
# lost.
find_errors() {
    name=$scratch/$1
    shift
    status=0
    timeout 300 valgrind --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=none \
        --num-callers=30 "$@" "$top_builddir/test/memcheck_probe" >"$name.log" 2>&1 || status=$?
    sed -E -e '/^==[0-9]+==    (at|by) /d' -e '/ Command: | in frame | heap usage: /d' \
        -e 's/^==[0-9]+== ?//' -e 's/0x[0-9a-fA-F]+/ADDRESS/g' "$name.log" >"$name.found"
    sed -e '/ in loss record /d' -e '/^ *[a-z]* lost: /d' "$name.found" >"$name"
    sed -n -E -e 's/^[0-9,]+ \(([0-9,]+) direct, [0-9,]+ indirect\)/\1/' \
        -e 's/ (definitely|indirectly|possibly) lost / lost /' \
        -e 's/ in loss record .*//p' "$name.found" | sort >>"$name"
    same "$status" 0
}

# The same with the library in front.
find_errors_with() {
    LD_PRELOAD=$library
    export LD_PRELOAD
    find_errors "$@"
    found=$?
    unset LD_PRELOAD
    return "$found"
}

# What the probe has in store, so that nothing is found at all is no success.
has_all_kinds() {
    find_errors plain && [ "$(grep -c '^Invalid read' "$scratch/plain")" -ge 15 ] &&
        [ "$(grep -c '^Invalid write' "$scratch/plain")" -ge 20 ] &&
        [ "$(grep -c '^Invalid free' "$scratch/plain")" -ge 9 ] &&
        [ "$(grep -c '^Conditional jump' "$scratch/plain")" -ge 6 ] &&
        [ "$(grep -c 'are lost' "$scratch/plain")" -ge 12 ] || {
        note <"$scratch/plain"
        return 1
    }
}

finds_the_same() {
    find_errors_with "$@" && diff "$scratch/plain" "$scratch/$1" >"$scratch/diff" || {
        note <"$scratch/diff"
        return 1
    }
}

# Whether functions of the library lie in the stacks.
went_through() {
    grep -q 'by 0x.*: pym_.*(' "$scratch/$1.log"
}

finds_the_same_through_ours() {
    finds_the_same "$@" && went_through "$1"
}

# small_blocks SETTINGS: how many came from pools, by the library's report.
small_blocks() {
    timeout 300 env PYMALLOC="stats:1,$1" LD_PRELOAD="$library" \
        valgrind $ours "$top_builddir/test/fresh_probe" 2>&1 |
        awk '$1 == "small" && $2 == "blocks" { print $3 }'
}

keeps_its_pools() {
    same "$(small_blocks valgrind:1)" 0 && [ "$(small_blocks valgrind:0)" -gt 0 ]
}

ours=--soname-synonyms=somalloc=nouserintercepts

plan 4
check "memcheck finds what the probe has in store" has_all_kinds
check "the same with libpymalloc, replaced by memcheck" finds_the_same replaced
check "the same with libpymalloc in its place" finds_the_same_through_ours kept $ours
check "the option valgrind:0 keeps the pools" keeps_its_pools
done_testing
