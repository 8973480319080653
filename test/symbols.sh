#!/bin/sh
# What the shared library exports and needs.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

have nm || plan_skip "nm is not installed"
have readelf || plan_skip "readelf is not installed"

nm -D --defined-only "$library" | sed 's/.* //' | sort -u >"$scratch/exported"
sed 's/@.*//' "$scratch/exported" >"$scratch/names"

grep -q '^#define PYM_GC 1' "$top_builddir/config.h" && object_layer=yes || object_layer=no

expected_symbols() {
    case $object_layer in
    yes) cat "$top_srcdir/test/symbols.expected" ;;
    no) grep -v '^pygc_' "$top_srcdir/test/symbols.expected" ;;
    esac
}

has_no() {
    if grep "$1" "$2" >"$scratch/found"; then
        note <"$scratch/found"
        return 1
    fi
}

needs_libc_only() {
    needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -v '^ld-linux' | tr '\n' ' ')
    same "$needed" "libc.so.6 "
}

# Of blocks like this the loader has little room for libraries that come late.
tls_is_small() {
    tls=$(readelf -lW "$library" | awk '$1 == "TLS" { print $6 }')
    echo "thread-local storage: ${tls:-none}" | note
    [ $((${tls:-0})) -le 512 ]
}

readelf -dW "$library" >"$scratch/dynamic"
readelf -lW "$library" | grep GNU_STACK >"$scratch/stack"

expected_symbols >"$scratch/expected"

plan 6
check "exactly the documented symbols are exported" \
    quietly diff "$scratch/expected" "$scratch/names"
check "no symbol has a version, so that it satisfies references to any" \
    has_no @ "$scratch/exported"
# A dependency on the C++ runtime would load it into every C program.
check "the library needs libc only" needs_libc_only
check "the library's text has no relocations" has_no TEXTREL "$scratch/dynamic"
check "the stack is not executable" has_no RWE "$scratch/stack"
check "thread-local storage is small" tls_is_small
done_testing
