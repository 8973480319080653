#!/bin/sh
# Programs under libpymalloc run under valgrind, in both of valgrind's ways:
# with its own malloc in the place of ours, and with ours left in place.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

have valgrind || plan_skip "valgrind is not installed"
valgrind -q true 2>/dev/null || plan_skip "valgrind does not work here"

# clean PROGRAM FLAGS...: passes and has no errors.
clean() {
    program=$top_builddir/test/$1
    shift
    status=0
    PYM_TEST_TIMEOUT=300 valgrind -q --error-exitcode=99 "$@" "$program" \
        >"$scratch/log" 2>&1 || status=$?
    if [ "$status" -ne 0 ] || grep -q '^not ok\|^Bail out\|^==' "$scratch/log"; then
        echo "status $status" >>"$scratch/log"
        head -n 60 "$scratch/log" | note
        return 1
    fi
}

ours=--soname-synonyms=somalloc=nouserintercepts

# The same with the library's pools.  Without its cache: that looks at the word before a
# block of the system's, which is none of a program's business.
clean_in_pools() {
    PYMALLOC=valgrind:0,cache:0
    export PYMALLOC
    clean "$@"
    result=$?
    unset PYMALLOC
    return "$result"
}

plan 7
check "memcheck, with its own malloc" clean valgrind_probe
check "memcheck, with ours" clean valgrind_probe $ours
check "memcheck, with ours and its pools" clean_in_pools valgrind_probe $ours
check "no tool" clean valgrind_probe --tool=none
check "C++, with memcheck's own malloc" clean valgrind_cxx_probe
check "C++, with ours" clean valgrind_cxx_probe $ours
check "C++, with ours and its pools" clean_in_pools valgrind_cxx_probe $ours
done_testing
