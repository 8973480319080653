#!/bin/sh
# Programs that use the installed library: the installed examples are built by pkg-config,
# by CMake and by autoconf's macro, and run; and these say no where they should.
#
# The tree is installed into a folder of its own, and so has been moved; or, with
# PYM_TEST_INSTALLED set, it is where it was meant to be (make installcheck).
# shellcheck disable=SC2016,SC2154 # patterns with dollars; variables of lib.sh
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

: "${MAKE:=make}"
# The jobs of the make that runs this test are not ours to share.
unset MAKEFLAGS MFLAGS MAKELEVEL || true
unset PKG_CONFIG PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR CMAKE_PREFIX_PATH ACLOCAL_PATH \
    PYMALLOC_CFLAGS PYMALLOC_LIBS CFLAGS CPPFLAGS LDFLAGS LIBS DESTDIR || true

echo 'int main(void) { return 0; }' >"$scratch/empty.c"
# shellcheck disable=SC2086 # a compiler may be several words
$CC -o "$scratch/empty" "$scratch/empty.c"
"$scratch/empty" 2>/dev/null || plan_skip "programs of this host do not run here"
# shellcheck disable=SC2086
can_static=$($CC -static -o "$scratch/empty" "$scratch/empty.c" 2>/dev/null && echo yes || echo no)

# Where things were meant to be, as configure has decided.
for name in prefix exec_prefix includedir libdir datarootdir datadir PACKAGE_TARNAME docdir; do
    value=$(sed -n "s/^$name = //p" "$top_builddir/Makefile" | tr '()' '{}')
    eval "$name=\"$value\""
done
version=$(sed -n 's/^VERSION = //p' "$top_builddir/Makefile")

root=
PKG_CONFIG_PATH=$libdir/pkgconfig
if [ -z "${PYM_TEST_INSTALLED:-}" ]; then
    root=$scratch/root
    PKG_CONFIG_PATH=$root$PKG_CONFIG_PATH
    PKG_CONFIG_SYSROOT_DIR=$root
    export PKG_CONFIG_SYSROOT_DIR
fi
export PKG_CONFIG_PATH
installed=$root$docdir/examples
gc=no
grep -q '^#define PYM_GC 1' "$top_builddir/config.h" && gc=yes

installs() {
    [ -n "${PYM_TEST_INSTALLED:-}" ] ||
        quietly "$MAKE" -s -C "$top_builddir" DESTDIR="$root" install
}

# What the README there speaks of, as it is in the sources.
are_installed() {
    grep -o '[A-Za-z-]*\.[a-z][a-z]*' "$installed/README" | grep -v 'gc\.h' |
        while read -r file; do
            cmp "$top_srcdir/examples/$file" "$installed/$file"
        done >"$scratch/found" 2>&1
    note <"$scratch/found"
    [ -e "$installed/stats.c" ] && ! [ -s "$scratch/found" ]
}

# --------------------------------------------------------------- running examples

library_path() { # command...
    LD_LIBRARY_PATH=$root$libdir "$@"
}

# Other libraries than the one that is installed would print another version.
stats_runs() { # program
    library_path "$1" >"$scratch/out" 2>&1 || return 1
    grep -qx "on libpymalloc $version" "$scratch/out" &&
        grep -q "^with words: 100... small blocks" "$scratch/out" &&
        return 0
    note <"$scratch/out"
    return 1
}

graph_runs() { # program
    library_path "$1" >"$scratch/out" 2>&1 &&
        grep -q '^  3 objects collected' "$scratch/out" && return 0
    note <"$scratch/out"
    return 1
}

lisp_runs() { # program
    same "$(echo '((lambda (n) (* n n)) 12)' | library_path "$1")" 144
}

needs_no_libpymalloc() { # program
    readelf -d "$1" | grep NEEDED >"$scratch/needed"
    ! grep pymalloc "$scratch/needed" >"$scratch/found" && return 0
    note <"$scratch/found"
    return 1
}

# examples_run HOW FOLDER: the three of them.
examples_run() {
    check "$1: stats runs" stats_runs "$2/stats"
    for example in graph lisp; do
        if [ $gc = yes ]; then
            check "$1: $example runs" "${example}_runs" "$2/$example"
        else
            skip "$1: $example runs" "this build has no object layer"
        fi
    done
}

if_static() { # description, command...
    if [ -e "$archive" ] && [ "$can_static" = yes ]; then
        check "$@"
    else
        skip "$1" "no archive, or no static C library"
    fi
}

skipped() { # count, description, reason
    for _ in $(seq "$1"); do
        skip "$2" "$3"
    done
}

# --------------------------------------------------------------------- pkg-config

make_with_pkg_config() { # target
    quietly "$MAKE" -C "$scratch/pkg-config" -f "$installed/pkg-config.mk" CC="$CC" "$1"
}

test_pkg_config() {
    mkdir "$scratch/pkg-config"
    check "pkg-config: the file is valid" quietly pkg-config --validate libpymalloc
    check "pkg-config: the examples build" make_with_pkg_config all
    examples_run pkg-config "$scratch/pkg-config"
    if_static "pkg-config: a static program builds" make_with_pkg_config stats-static
    if_static "pkg-config: a static program runs" stats_runs \
        "$scratch/pkg-config/stats-static"
}

# -------------------------------------------------------------------------- CMake

# Tests are told in words that may hold several arguments, as compilers do.
cmake_configure() { # source, build, argument...
    source=$1
    build=$2
    shift 2
    CC=$CC cmake -S "$source" -B "$build" -DCMAKE_PREFIX_PATH="$root$prefix" \
        -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF "$@"
}

cmake_builds() { # target
    quietly cmake --build "$scratch/cmake" --target "$1"
}

cmake_configures() {
    quietly cmake_configure "$installed" "$scratch/cmake"
}

# A project that only looks; what find_package says is in $scratch/found.
find_package() { # arguments of find_package
    mkdir -p "$scratch/find"
    cat >"$scratch/find/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.13)
project(find LANGUAGES NONE)
find_package(pymalloc $*)
message(STATUS "pymalloc: \${pymalloc_FOUND} \${pymalloc_VERSION} \${pymalloc_DIR}")
EOF
    rm -rf "$scratch/find/build"
    # Without a language CMake knows no folders that are named after processors.
    cmake_configure "$scratch/find" "$scratch/find/build" \
        -Dpymalloc_DIR="$root$libdir/cmake/pymalloc" >"$scratch/found" 2>&1
}

finds() {
    find_package "$@" &&
        grep -q "^-- pymalloc: \(1\|TRUE\) $version $root$libdir/cmake/pymalloc$" "$scratch/found" &&
        return 0
    note <"$scratch/found"
    return 1
}

finds_none() {
    find_package "$@" && grep -q "^-- pymalloc: \(0\|FALSE\) " "$scratch/found" && return 0
    note <"$scratch/found"
    return 1
}

test_cmake() {
    series=${version%.*}
    # As long as the first number is 0, the second one tells series apart.
    case $version in
    0.*) earlier=0.$((${series#*.} - 1)) ;;
    *) earlier=$((${version%%.*} - 1)).0 ;;
    esac
    check "CMake: the package is found" finds
    check "CMake: with its own version" finds "$version" EXACT
    check "CMake: with an earlier one of its series" finds "$series"
    check "CMake: with a range" finds "0.0.1...99"
    check "CMake: with its components" finds "$version COMPONENTS shared"
    check "CMake: not with an earlier series" finds_none "$earlier"
    check "CMake: not with a later version" finds_none "99"
    check "CMake: not with a range that it is not in" finds_none "50...99"
    check "CMake: not with a component that it has not" finds_none "COMPONENTS nonsense"
    check "CMake: the examples are configured" cmake_configures
    check "CMake: the examples build" cmake_builds all
    examples_run CMake "$scratch/cmake"
    if_static "CMake: a program with the archive runs" stats_runs "$scratch/cmake/stats-archive"
    if_static "CMake: it needs no shared library" needs_no_libpymalloc \
        "$scratch/cmake/stats-archive"
    if_static "CMake: a static program builds" cmake_builds stats-static
    if_static "CMake: a static program runs" stats_runs "$scratch/cmake/stats-static"
}

# ----------------------------------------------------------------------- autoconf

autotools_build() {
    mkdir "$scratch/auto"
    cp "$installed"/* "$scratch/auto"
    (
        cd "$scratch/auto"
        ACLOCAL_PATH=$root$datadir/aclocal quietly autoreconf --install -Wall &&
            quietly ./configure CC="$CC" &&
            quietly "$MAKE"
    )
}

# A project of which configure is all there is.
make_configure() {
    mkdir "$scratch/macro"
    cat >"$scratch/macro/configure.ac" <<'EOF'
AC_INIT([macro], [1.0])
AC_CONFIG_HEADERS([config.h])
AC_PROG_CC
m4_ifdef([AX_PYMALLOC], [], [m4_fatal([no AX_PYMALLOC])])
AX_PYMALLOC([LEAST], [outcome=found], [outcome=none])
AC_OUTPUT
AS_ECHO(["outcome: $outcome $ax_have_pymalloc"])
EOF
    (
        cd "$scratch/macro"
        ACLOCAL_PATH=$root$datadir/aclocal quietly aclocal &&
            quietly autoheader &&
            sed 's/LEAST/99.1/' configure.ac >newer.ac &&
            sed -i 's/LEAST/0.1/' configure.ac &&
            quietly autoconf -o newer newer.ac && quietly autoconf
    )
}

# decides STATUS OUTCOME DEFINED SCRIPT ARGUMENT...: how configure ends, what it says at
# last, and whether HAVE_PYMALLOC is 1.
decides() {
    status=$1 outcome=$2 defined=$3 script=$4
    shift 4
    rm -f "$scratch/macro/config.h"
    got=0
    (cd "$scratch/macro" && sh "./$script" CC="$CC" "$@") \
        >"$scratch/out" 2>&1 || got=1
    [ "$got" = "$status" ] && grep -q "$outcome" "$scratch/out" &&
        if [ "$defined" = yes ]; then
            grep -q '^#define HAVE_PYMALLOC 1' "$scratch/macro/config.h"
        else
            ! grep -q '^#define HAVE_PYMALLOC' "$scratch/macro/config.h" 2>/dev/null
        fi && return 0
    note <"$scratch/out"
    return 1
}

test_autoconf() {
    found='^outcome: found yes$'
    none='^outcome: none no$'
    nowhere="PYMALLOC_LIBS=-lpymalloc-not-there"
    check "autoconf: the examples build" autotools_build
    examples_run autoconf "$scratch/auto"
    check "autoconf: a configure is made with the macro" make_configure
    check "autoconf: found by default" decides 0 "$found" yes configure
    check "autoconf: found when asked for" decides 0 "$found" yes configure --with-pymalloc
    check "autoconf: not looked for when not wanted" \
        decides 0 "$none" no configure --without-pymalloc
    check "autoconf: done without when not there" decides 0 "$none" no configure "$nowhere"
    check "autoconf: an error when asked for and not there" \
        decides 1 'error: --with-pymalloc was given' no configure --with-pymalloc=yes "$nowhere"
    check "autoconf: an error for a word that is none" \
        decides 1 'error: .*takes yes, no or auto' no configure --with-pymalloc=maybe
    check "autoconf: done without when too old" decides 0 "$none" no newer
    check "autoconf: found without pkg-config" decides 0 "$found" yes configure \
        PKG_CONFIG=false PYMALLOC_CFLAGS="-I$root$includedir" \
        PYMALLOC_LIBS="-L$root$libdir -lpymalloc"
}

# --------------------------------------------------------------------------- plan

plan 40
check "make install works" installs
check "the examples are installed" are_installed
if have pkg-config; then
    test_pkg_config
else
    skipped 7 "pkg-config: the examples" "pkg-config is not installed"
fi
if have cmake; then
    test_cmake
else
    skipped 18 "CMake: the examples" "cmake is not installed"
fi
if have autoreconf && have automake && have pkg-config; then
    test_autoconf
else
    skipped 13 "autoconf: the examples" "autoconf, automake or pkg-config is not installed"
fi
done_testing
