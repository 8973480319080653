#!/bin/sh
# Programs linked with libpymalloc.a.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

[ -e "$archive" ] || plan_skip "this build has no archive"

# passes COMPILER SOURCE FLAGS...: builds and runs a test program.
passes() {
    compiler=$1
    source=$2
    shift 2
    # shellcheck disable=SC2086 # a compiler may be several words
    quietly $compiler -D_GNU_SOURCE -O1 -g -fno-builtin -I"$top_srcdir/include" \
        -I"$top_srcdir/test" "$@" -o "$scratch/probe" "$top_srcdir/test/$source" \
        "$archive" -pthread &&
        quietly "$scratch/probe"
}

# Whether the compiler can link that way at all.
echo 'int main(void) { return 0; }' >"$scratch/empty.c"
check_if_links() {
    # shellcheck disable=SC2086
    if $CC "$1" -o "$scratch/empty" "$scratch/empty.c" 2>/dev/null; then
        shift
        check "$@"
    else
        skip "$2" "there is no static C library"
    fi
}

plan 6
check "the archive in a dynamic program" passes "$CC" static_probe.c
check "the archive in a dynamic C++ program" passes "$CXX" cxx_new.cc
check_if_links -static "a static program" passes "$CC" static_probe.c -static
check_if_links -static "a static program with the C library's malloc underneath" \
    passes "$CC" static_probe.c -static -Wl,-z,muldefs -Wl,-u,__libc_malloc
check_if_links -static-pie "a static position-independent program" \
    passes "$CC" static_probe.c -static-pie
check_if_links -static "a static C++ program" passes "$CXX" cxx_new.cc -static
done_testing
