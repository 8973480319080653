#!/bin/sh
# The examples for the object layer: the one in the README, and a small Lisp whose
# closures and scopes are full of cycles.
# shellcheck disable=SC2086 # compilers are several words
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

lisp=$top_builddir/examples/lisp

run() { # expected, program
    printf '%s\n' "$2" | "$lisp" >"$scratch/out" || return 1
    same "$(tail -n 1 "$scratch/out")" "$1"
}

readme_example() {
    sed -n '/^#include <pymalloc\/gc.h>/,/^```/{/^```/d;p;}' "$top_srcdir/README.md" \
        >"$scratch/readme.c"
    quietly $CC -Wall -Wextra -Werror -I"$top_srcdir/include" -o "$scratch/readme" \
        "$scratch/readme.c" "$library" -Wl,-rpath,"$(dirname "$library")" &&
        "$scratch/readme"
}

# Every function that is declared is on the page.
man_page_is_whole() {
    grep -o 'pygc_[a-z_]*(' "$top_srcdir/include/pymalloc/gc.h" | sort -u | tr -d '(' |
        grep -v '_fn$\|^pygc_decref_last$\|^pygc_header_of$' >"$scratch/declared"
    while read -r name; do
        grep -q "$name" "$top_srcdir/doc/pygc.3" || echo "$name is not on the page"
    done <"$scratch/declared" | note_all
}

note_all() {
    cat >"$scratch/missing"
    note <"$scratch/missing"
    ! [ -s "$scratch/missing" ]
}

plan 8
check "the man page names every function" man_page_is_whole
check "the README's example compiles as printed" readme_example
check "arithmetic" run 144 "((lambda (n) (* n n)) 12)"
check "lists" run "(1 (a b) 3)" "(cons 1 (cons (quote (a b)) (quote (3))))"
check "a function that calls itself" run 3628800 \
    "(define f (lambda (n) (if (< n 1) 1 (* n (f (- n 1)))))) (f 10)"
check "a function that makes functions" run 42 \
    "(define adder (lambda (n) (lambda (m) (+ n m)))) ((adder 40) 2)"
check "work for the collector" run 6765 \
    "(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))) (fib 20)"
check "an unknown name is told" run "()" "unknown"
done_testing
