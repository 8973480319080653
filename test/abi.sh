#!/bin/sh
# The binary interface is the recorded one (test/abi): what a program was compiled and
# linked with goes on to work.  More may be there; nothing may be gone, or be another.
#
# make abi-baseline records what there is.
# shellcheck disable=SC2154 # variables of lib.sh
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

headers=$top_srcdir/include/pymalloc
recorded=$top_srcdir/test/abi

have abidiff || plan_skip "abidiff is not installed"
have readelf || plan_skip "readelf is not installed"
grep -q '^#define PYM_GC 1' "$top_builddir/config.h" ||
    plan_skip "this build has no object layer"
readelf -h "$library" | grep -q 'Machine:.*X86-64' ||
    plan_skip "the record is of x86-64"
readelf -SW "$library" | grep -q '\.debug_info' ||
    plan_skip "the library was built without debugging information"

# What is written has no paths of this machine.
describe() {
    abidw --suppressions "$recorded/public.suppr" --headers-dir "$headers" \
        --drop-private-types --exported-interfaces-only --no-corpus-path \
        --no-comp-dir-path --no-show-locs --no-parameter-names \
        --no-write-default-sizes --no-elf-needed "$library" |
        sed "s|path='[^']*/|path='|"
}

# Constants, and what inline functions know of memory, are in programs and not in the
# library.  What the numbers of versions are may change.
constants() {
    grep -ohE '\<(PYMALLOC|PYGC)_[A-Z_]+\>' "$headers"/*.h | sort -u |
        grep -v -e '_H$' -e '^PYMALLOC_VERSION' -e '^PYGC_SLOT$' \
            -e '^PYGC_LEAST_FLAG_FREE$' -e '^PYGC_DEBUG_$'
    echo 'sizeof(struct pygc_header)'
    echo 'offsetof(struct pygc_header, bits)'
    echo 'offsetof(struct pygc_header, refs)'
}

# values_of FILE: its lines, which are C, each with its value behind.
values_of() {
    {
        echo '#include <pymalloc/gc.h>'
        echo '#include <pymalloc/pymalloc.h>'
        echo '#include <stdio.h>'
        echo 'int main(void) {'
        sed 's/.*/printf("%s: %lld\\n", "&", (long long)(&));/' "$1"
        echo 'return 0; }'
    } >"$scratch/values.c"
    # shellcheck disable=SC2086 # a compiler may be several words
    $CC -I"$top_srcdir/include" -o "$scratch/values" "$scratch/values.c" &&
        "$scratch/values"
}

if [ -n "${PYM_ABI_RECORD:-}" ]; then
    describe >"$recorded/libpymalloc.abi"
    constants >"$scratch/constants"
    values_of "$scratch/constants" >"$recorded/constants"
    exit 0
fi

# Both sides are descriptions, which have no private types and no places in files; given
# the headers once more, abidiff would take all types for private ones.
is_the_same() {
    describe >"$scratch/now.abi" &&
        quietly abidiff --no-added-syms "$recorded/libpymalloc.abi" "$scratch/now.abi"
}

has_the_values() {
    sed 's/: [^:]*$//' "$recorded/constants" >"$scratch/constants"
    values_of "$scratch/constants" >"$scratch/now" 2>"$scratch/errors" || {
        note <"$scratch/errors"
        return 1
    }
    quietly diff "$recorded/constants" "$scratch/now"
}

plan 2
check "functions and types are the recorded ones" is_the_same
check "constants are the recorded ones" has_the_values
done_testing
