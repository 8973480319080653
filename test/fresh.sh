#!/bin/sh
# What libpymalloc costs a program that does nearly nothing: in resident memory its own
# pages, and those of the program that it makes dirty; in time what its start executes.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$scratch/probe
preloaded=$scratch/libpymalloc.so
# The kernel maps the neighbours of a page of code that is touched, 64 KiB in all: what
# a program needs that only allocates has to lie together (lib/order.lds).
bound=124
# The first pages of a few size classes come on top for a program that allocates.
classes=64
# What a start may execute besides.
instructions=150000

# A copy whose pages came into the kernel's cache one by one.  Of a file that was written
# or read in larger parts, Linux from 6.18 on maps the whole part around a page: how
# much that is depends on how the file came to where it is, not on the library.  Debugging
# information stays behind: valgrind cannot read every compiler's.
copy_by_pages() { # file copy
    strip -g -o "$scratch/stripped" "$1"
    dd if="$scratch/stripped" of="$2" bs=4k status=none
    chmod +x "$2"
}

# The median of eleven runs: the stack and the heap begin at random places.
median() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11; do
        "$@"
    done | sort -n | sed -n 6p
}

costs_little() {
    without=$(median "$probe" "$1")
    with=$(median env LD_PRELOAD="$preloaded" "$probe" "$1")
    echo "$without KiB without, $with KiB with libpymalloc" | note
    [ $((with - without)) -lt "$2" ]
}

# Who only looks while the program runs does not see that its end takes as much again.
ends_in_front() {
    address=$(readelf -SW "$library" | sed -n 's/.* \.fini  *PROGBITS *\([0-9a-f]*\) .*/\1/p')
    echo "the code for the end is at 0x$address" | note
    [ $((0x${address:-ffffff})) -lt 65536 ]
}

# Instructions from the kernel's exec to the end of the process.
executed() {
    env "$@" valgrind --tool=callgrind --callgrind-out-file=/dev/null "$probe" nothing \
        2>&1 | tr -d , | sed -n 's/.* refs: *//p'
}

# Most of them are the loader's, which finds a place for each function of the library.
starts_fast() {
    without=$(executed LD_PRELOAD=)
    with=$(executed LD_PRELOAD="$preloaded" PYMALLOC=valgrind:0)
    echo "${without:-no} instructions without, ${with:-no} with libpymalloc" | note
    [ -n "$without" ] && [ -n "$with" ] && [ $((with - without)) -lt "$instructions" ]
}

[ -r /proc/self/smaps ] || plan_skip "this kernel has no smaps"

copy_by_pages "$top_builddir/test/fresh_probe" "$probe"
copy_by_pages "$library" "$preloaded"

plan 4
check "a fresh process costs less than $bound KiB" costs_little 0 "$bound"
check "a fresh process with 16 blocks costs less than $((bound + classes)) KiB" \
    costs_little 16 $((bound + classes))
if have readelf; then
    check "its end is in the same 64 KiB" ends_in_front
else
    skip "its end is in the same 64 KiB" "readelf is not installed"
fi
if have valgrind; then
    check "its start executes less than $instructions instructions" starts_fast
else
    skip "its start executes less than $instructions instructions" \
        "valgrind is not installed"
fi
done_testing
