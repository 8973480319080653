#!/bin/sh
# Each header alone is a whole header of C and of C++, and draws no warning.
# shellcheck disable=SC2086 # flags and compilers are several words
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

warnings="-Wall -Wextra -pedantic -Werror -Wshadow -Wundef"

# Included twice, to see that the guard works; and nothing else is.
cat >"$scratch/use.c" <<'END'
#include <pymalloc/pymalloc.h>
#include <pymalloc/pymalloc.h>
struct pymalloc_totals totals;
int main(void)
{
    return pymalloc_stats(&totals) != 0 || pymalloc_version()[0] == 0;
}
END
cp "$scratch/use.c" "$scratch/use.cc"

cat >"$scratch/gc.c" <<'END'
#include <pymalloc/gc.h>
#include <pymalloc/gc.h>
struct pair { void *first, *second; };
int main(void)
{
    struct pygc_slot slot = {0, 2, PYGC_STRONG, PYGC_SELF};
    struct pygc_type_spec spec = {"pair", sizeof(struct pair), 0, &slot, 1, 0, 0, 0, 0, 0};
    pygc_heap *heap = pygc_heap_new(0);
    struct pair *pair = (struct pair *)pygc_alloc(heap, pygc_type_new(&spec));
    pygc_store(pair, &pair->first, pair);
    pygc_decref(pair);
    return pygc_collect(heap, 2) != 1 || pygc_heap_destroy(heap, 0) != 0;
}
END
cp "$scratch/gc.c" "$scratch/gc.cc"

compiles() {
    quietly "$@" $warnings -fsyntax-only -I"$top_srcdir/include"
}

# C linkage in C++ is what makes the names those of the library.
links() { # source without .cc
    quietly $CXX -I"$top_srcdir/include" -o "$1" "$1.cc" "$library" \
        -Wl,-rpath,"$(dirname "$library")" && "$1"
}

grep -q '^#define PYM_GC 1' "$top_builddir/config.h" && headers="use gc" || headers=use

# shellcheck disable=SC2046
plan $(($(echo $headers | wc -w) * 8))
for header in $headers; do
    for std in c99 c11 c17 gnu11; do
        check "$header: $std" compiles $CC -std=$std -Wstrict-prototypes -Wconversion \
            "$scratch/$header.c"
    done
    for std in c++11 c++17 c++20; do
        check "$header: $std" compiles $CXX -std=$std "$scratch/$header.cc"
    done
    check "$header: a C++ program links and runs" links "$scratch/$header"
done
done_testing
