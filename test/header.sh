#!/bin/sh
# pymalloc.h alone is a whole header of C and of C++, and draws no warning.
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

compiles() {
    quietly "$@" $warnings -fsyntax-only -I"$top_srcdir/include"
}

# C linkage in C++ is what makes the names those of the library.
links() {
    quietly $CXX -I"$top_srcdir/include" -o "$scratch/use" "$scratch/use.cc" "$library" \
        -Wl,-rpath,"$(dirname "$library")" && "$scratch/use"
}

plan 8
for std in c99 c11 c17 gnu11; do
    check "$std" compiles $CC -std=$std -Wstrict-prototypes -Wconversion "$scratch/use.c"
done
for std in c++11 c++17 c++20; do
    check "$std" compiles $CXX -std=$std "$scratch/use.cc"
done
check "a C++ program links and runs" links
done_testing
