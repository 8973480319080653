#!/bin/sh
# make install into a folder of its own, programs built against the result with
# pkg-config, make uninstall.  Speaks TAP.
# shellcheck disable=SC2046,SC2086 # flags and compilers are several words
set -eu
export LC_ALL=C

top_builddir=${top_builddir:-.}
CC=${CC:-cc}
CXX=${CXX:-c++}
MAKE=${MAKE:-make}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dest=$work/dest

number=0
log=$work/log
ok() { number=$((number + 1)) && echo "ok $number - $1"; }
skip() { number=$((number + 1)) && echo "ok $number - $1 # SKIP $2"; }
check() { # description, command...
    description=$1
    shift
    number=$((number + 1))
    if "$@" >"$log" 2>&1; then
        echo "ok $number - $description"
    else
        sed 's/^/# /' "$log"
        echo "not ok $number - $description"
    fi
}

# The jobs of the make that runs this test are not ours to share.
unset MAKEFLAGS MFLAGS MAKELEVEL || true
make_in_build() { $MAKE -s -C "$top_builddir" DESTDIR="$dest" "$@"; }

cat >"$work/use.c" <<'END'
#include <pymalloc/pymalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    struct pymalloc_totals stats;
    char *volatile small = (char *)malloc(100);
    char *volatile large = (char *)malloc(100000);
    if (small == NULL || large == NULL || pymalloc_stats(&stats) != 0) {
        return 1;
    }
    memset(small, 1, 100);
    memset(large, 2, 100000);
    printf("%s small:%d large:%d counted:%d\n", pymalloc_version(), pymalloc_owns(small),
           pymalloc_owns(large), stats.small_live > 0);
    free(small);
    free(large);
    return 0;
}
END
cat >"$work/use.cc" <<'END'
#include <pymalloc/pymalloc.h>
#include <iostream>
#include <map>
#include <string>

int main()
{
    std::map<int, std::string> names;
    for (int i = 0; i < 1000; i++) {
        names[i] = std::string(100, 'x');
    }
    std::cout << pymalloc_version() << " small:" << (pymalloc_owns(&names[5]) != 0)
              << std::endl;
}
END

installed() {
    find "$dest" -name "$1" \( -type f -o -type l \) | grep . || {
        echo "no $1 below the destination"
        return 1
    }
}

echo 1..25

check "make install works" make_in_build install
check "the shared library is there" installed libpymalloc.so.0
check "the hardened library is there" installed libpymalloc-hardened.so.0
check "its link for the linker is there" installed libpymalloc.so
check "the archive is there" installed libpymalloc.a
check "the header is there" installed pymalloc.h
check "the pkg-config file is there" installed libpymalloc.pc
check "the launcher is there" installed pymalloc
check "the library's manual page is there" installed libpymalloc.3
check "the launcher's manual page is there" installed pymalloc.1
check "the options' manual page is there" installed pymalloc-options.7

pc=$(find "$dest" -name libpymalloc.pc)
lib=$(dirname "$(find "$dest" -name libpymalloc.so.0)")
launcher=$(find "$dest" -path '*/bin/pymalloc')
version=$(sed -n 's/^Version: //p' "$pc")

flags() { # [--static] --cflags --libs
    PKG_CONFIG_PATH=$(dirname "$pc") PKG_CONFIG_SYSROOT_DIR=$dest \
        pkg-config "$@" libpymalloc
}

says() { # expected output, command...
    wanted=$1
    shift
    got=$("$@" 2>&1) || { echo "exit status $?: $got" && return 1; }
    [ "$got" = "$wanted" ] || { echo "wanted: $wanted" && echo "got: $got" && return 1; }
}

printf 'int main(void) { return 0; }\n' >"$work/empty.c"
$CC "$work/empty.c" -o "$work/empty"
can_run=true
"$work/empty" 2>/dev/null || can_run=false
run() { # description, expected output, command...
    if $can_run; then
        description=$1
        shift
        check "$description" says "$@"
    else
        skip "$1" "programs of this host do not run here"
    fi
}
c_says="$version small:1 large:0 counted:1"
cxx_says="$version small:1"

if command -v pkg-config >/dev/null; then
    check "pkg-config knows the library" flags --exists --print-errors
    check "a C program builds" \
        $CC -std=c99 -Wall -Wextra -pedantic -Werror "$work/use.c" -o "$work/use-c" \
        $(flags --cflags --libs)
    run "a C program runs on it" "$c_says" env LD_LIBRARY_PATH="$lib" "$work/use-c"
    check "a C++ program builds" \
        $CXX -std=c++11 -Wall -Wextra -pedantic -Werror "$work/use.cc" -o "$work/use-cxx" \
        $(flags --cflags --libs)
    run "a C++ program runs on it" "$cxx_says" env LD_LIBRARY_PATH="$lib" "$work/use-cxx"
    check "a C program links statically" \
        $CC -static "$work/use.c" -o "$work/use-c-static" $(flags --static --cflags --libs)
    run "a static C program runs" "$c_says" "$work/use-c-static"
    check "a C++ program links statically" \
        $CXX -static "$work/use.cc" -o "$work/use-cxx-static" \
        $(flags --static --cflags --libs)
    run "a static C++ program runs" "$cxx_says" "$work/use-cxx-static"
    check "a C program links with the archive alone" \
        $CC "$work/use.c" $(flags --cflags) "$lib/libpymalloc.a" -o "$work/use-c-archive"
    run "a C program with the archive runs" "$c_says" "$work/use-c-archive"
else
    for description in "pkg-config knows the library" \
        "a C program builds" "a C program runs on it" \
        "a C++ program builds" "a C++ program runs on it" \
        "a C program links statically" "a static C program runs" \
        "a C++ program links statically" "a static C++ program runs" \
        "a C program links with the archive alone" "a C program with the archive runs"; do
        skip "$description" "pkg-config is not installed"
    done
fi

run "the installed launcher finds the installed library" "" \
    "$launcher" run -- "$work/empty"

check "make uninstall works" make_in_build uninstall
find "$dest" ! -type d >"$work/left"
check "make uninstall leaves nothing" test ! -s "$work/left"
sed 's/^/# left: /' "$work/left"
