#!/bin/sh
# gdb's commands, "pymalloc info" and its kin: that they say of a heap what the program
# knows of it, in a live process and in a core file, for both libraries; and that they
# say what is wrong where they cannot work.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

have gdb || plan_skip "gdb is not installed"
gdb -q -batch -nx -ex 'python print("python")' 2>/dev/null | grep -qx python ||
    plan_skip "this gdb is without Python"
gdb -q -batch -nx -ex run true </dev/null 2>/dev/null | grep -q 'exited normally' ||
    plan_skip "gdb cannot run programs here"

gdb -q -batch -nx -ex 'ptype struct pym_pool' "$library" 2>/dev/null | grep -q owner ||
    plan_skip "the library was built without debug information"

libraries=$top_builddir/lib/.libs
hardened=$libraries/libpymalloc-hardened.so
probe=$top_builddir/test/gdb_probe
PYM_GDB_CHECKS=$scratch/checks
export PYM_GDB_CHECKS
# A core file must not take the disk, whatever is wrong.
ulimit -f 2000000

# The library's own file of commands is loaded by its name.
in_gdb() { # gdb's arguments
    timeout 120 gdb -q -batch -nx -iex "set auto-load safe-path $libraries" \
        -iex 'set debuginfod enabled off' -iex 'set confirm off' \
        -iex 'set pagination off' "$@" </dev/null >"$scratch/log" 2>&1 || true
}

# until_stop OPTIONS KIND COMMAND...: runs the probe to where its heap is made, compares,
# and leaves a core file.
until_stop() {
    options=$1
    kind=$2
    shift 2
    rm -f "$PYM_GDB_CHECKS" "$scratch/core"
    in_gdb -ex "set environment PYMALLOC $options" "$@" -ex 'break gdb_stop' -ex run \
        -x "$top_srcdir/test/gdb_check.py" -ex "generate-core-file $scratch/core" \
        -ex kill --args "$probe" "$kind" "$PYM_GDB_CHECKS"
}

# Whether the file of checks was worked through, and each name was in it.
says() {
    grep -qx "same: $1" "$scratch/log" || {
        sed -n "/^differs: $1\$/,/^[^ ]/p" "$scratch/log" | note
        grep -qx compared "$scratch/log" || tail -n 20 "$scratch/log" | note
        return 1
    }
}

nothing_differs() {
    ! grep '^differs: ' "$scratch/log" >"$scratch/differs" &&
        grep -qx compared "$scratch/log"
}

blocks='live
inside
in the bin
in the pool'\''s list
never used
in an inbox: 0
in an inbox: 1
in an orphan'\''s inbox
in an outbox: 0
in an outbox: 2
a table
reserved
a system block
a mapped block
a cached block
a variable
the stack
stats
arenas
heaps
pools
find
options
objects
an object
a large object
a header, printed'
plain='a free pool
a heap, printed
a pool, printed
the options, printed'

# check_all PREFIX NAMES: one check for each line of NAMES.
check_all() {
    printf '%s\n' "$2" >"$scratch/names"
    while IFS= read -r name; do
        check "$1: $name" says "$name"
    done <"$scratch/names"
    check "$1: nothing differs" nothing_differs
}

refuses() { # words, gdb's arguments
    words=$1
    shift
    in_gdb "$@"
    grep -qF "$words" "$scratch/log" && ! grep -q "Python Exception" "$scratch/log" || {
        note <"$scratch/log"
        return 1
    }
}

# In the place below gdb's folder that has the name of the library's, and with the way to
# the commands.
is_installed_for() { # library
    name=$(basename "$(readlink -f "$1")")-gdb.py
    libdir=$(sed -n "s/^libdir='\(.*\)'/\1/p" "$top_builddir/tools/pymalloc")
    found=$(find "$scratch/dest" -path "*/gdb/auto-load$libdir/$name")
    folder=$(sed -n 's/.*(beside, "\(.*\)").*/\1/p' "$found")
    [ -e "$scratch/dest$folder/pymalloc_gdb/__init__.py" ]
}

install_commands() {
    unset MAKEFLAGS MFLAGS MAKELEVEL || true
    quietly "${MAKE:-make}" -s -C "$top_builddir" DESTDIR="$scratch/dest" \
        install-gdbautoloadDATA install-dist_gdbmoduleDATA
}

stripped_library() {
    cp "$library" "$scratch/libpymalloc.so" && strip "$scratch/libpymalloc.so" &&
        refuses "libpymalloc.so has no debug information, which these commands need" \
            -ex "set environment LD_PRELOAD $scratch/libpymalloc.so" -ex 'break main' \
            -ex run -x "$commands" -ex 'pymalloc heaps' "$top_builddir/test/fresh_probe"
}

commands=$libraries/$(basename "$(readlink -f "$library")")-gdb.py

plan 114
until_stop decay:1234,remote:200 heap
check_all "live" "$blocks
$plain"
in_gdb -ex "core-file $scratch/core" -x "$top_srcdir/test/gdb_check.py" "$probe"
check_all "core file" "$blocks
$plain"
until_stop decay:1234,remote:200 heap -ex "set environment LD_PRELOAD $hardened"
check_all "hardened" "$blocks
in quarantine"
until_stop guard:50 guarded
check_all "guard" 'a guarded block
a freed guarded block
beside a guarded block'
until_stop decay:1234 child -ex 'set follow-fork-mode child'
check_all "after fork" 'a broken heap
a block of a broken heap
its free block'
until_stop decay:1234 overwritten
check_all "write after free" 'an overwritten block
a block behind it'
until_stop decay:1234 numbers
check_all "geometry.py" numbers
check "no process" refuses "There is no process to look at" -x "$commands" -ex 'pymalloc heaps'
check "no library" refuses "libpymalloc is not in this process" -ex 'break main' -ex run \
    -x "$commands" -ex 'pymalloc heaps' "$top_builddir/test/fresh_probe"
have strip && check "no debug information" stripped_library ||
    skip "no debug information" "strip is not installed"
check "no argument" refuses "An expression is needed" -ex 'break main' -ex run \
    -ex 'pymalloc info' "$probe"
check "an expression without a value" refuses "Cannot access memory" -ex 'break main' -ex run \
    -ex 'pymalloc info *(long *)0' "$probe"
check "the commands are installed" install_commands
check "for the library" is_installed_for "$library"
check "for the hardened library" is_installed_for "$hardened"
done_testing
