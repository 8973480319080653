#!/bin/sh
# What libpymalloc costs a program that does nearly nothing: less than 300 KiB
# of resident memory.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$top_builddir/test/fresh_probe
bound=300

# The median of eleven runs: pages of shared files are mapped around the ones in
# use, and the stack begins at random places.
median() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11; do
        "$@"
    done | sort -n | sed -n 6p
}

costs_little() {
    without=$(median "$probe" "$1")
    with=$(median env LD_PRELOAD="$library" "$probe" "$1")
    echo "$without KiB without, $with KiB with libpymalloc" | note
    [ $((with - without)) -lt "$bound" ]
}

[ -r /proc/self/smaps_rollup ] || plan_skip "this kernel has no smaps_rollup"

plan 2
for blocks in 0 16; do
    check "a fresh process with $blocks blocks costs less than $bound KiB" \
        costs_little "$blocks"
done
done_testing
