#!/bin/sh
# What debian/ repeats of the rest: the version and the exported symbols.  That the
# packages can be built takes make check-debian.
# shellcheck disable=SC2154 # variables of lib.sh
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

debian=$top_srcdir/debian

version_is_the_same() {
    same "$(sed -n '1s/.*(\(.*\)).*/\1/p' "$debian/changelog")" \
        "$(sed -n 's/^AC_INIT(\[libpymalloc\], \[\(.*\)\])$/\1/p' "$top_srcdir/configure.ac")"
}

# The names that the symbols file has for a library.
named() { # library
    awk -v library="$1" '
        /^[^ *#]/ { taken = $1 == library; next }
        taken && /^ / { sub(/@.*/, "", $1); print $1 }' "$debian/libpymalloc0.symbols" | sort
}

# Compares those with what is on standard input.
are_named() { # library
    cat >"$scratch/expected"
    named "$1" >"$scratch/named"
    if quietly diff "$scratch/expected" "$scratch/named"; then
        return 0
    fi
    echo 'A line there is " NAME@Base VERSION", with the first version that has it.' | note
    return 1
}

library_is_named() {
    are_named libpymalloc.so.0 <"$top_srcdir/test/symbols.expected"
}

# It is without the object layer.
hardened_is_named() {
    grep -v '^pygc_' "$top_srcdir/test/symbols.expected" | are_named libpymalloc-hardened.so.0
}

plan 3
check "the packages have the library's version" version_is_the_same
check "debian/libpymalloc0.symbols has what the library exports" library_is_named
check "it has what the hardened library exports" hardened_is_named
done_testing
