#!/bin/sh
# configure refuses, in plain words, what the library cannot run on.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

configure=$(cd "$top_srcdir" && pwd)/configure
[ -x "$configure" ] || plan_skip "there is no configure"

# refuses WORDS ARGUMENT...: with these words, before it makes anything.
refuses() {
    words=$1
    shift
    rm -rf "$scratch/build"
    mkdir "$scratch/build"
    (cd "$scratch/build" && timeout 300 "$configure" "$@") >"$scratch/log" 2>&1 && {
        echo "configured" | note
        return 1
    }
    if ! grep -q "error: .*$words" "$scratch/log" || [ -e "$scratch/build/Makefile" ]; then
        tail -n 20 "$scratch/log" | note
        return 1
    fi
}

echo 'int main(void) { return 0; }' >"$scratch/empty.c"

plan 6
check "another system" refuses 'runs on Linux only; this host is darwin' \
    --host=x86_64-apple-darwin20 CC=gcc
check "another system, of which configure knows as little" \
    refuses 'runs on Linux only; this host is freebsd' --host=x86_64-unknown-freebsd13 CC=gcc
check "pointers of 4 bytes" refuses "64-bit address space.*pointers have 4 bytes" \
    CC=gcc ac_cv_sizeof_void_p=4
if gcc -m32 "$scratch/empty.c" -o "$scratch/empty" 2>/dev/null; then
    check "a 32-bit compiler" refuses "pointers have 4 bytes" \
        --host=i686-linux-gnu CC="gcc -m32"
else
    skip "a 32-bit compiler" "gcc -m32 does not link here"
fi
check "an archive of the shared library's objects" \
    refuses "libpymalloc.a would be made of objects" CC=gcc --with-pic
check "another C library" refuses "needs the GNU C library or musl" \
    CC=gcc pym_cv_libc=unknown
done_testing
