#!/bin/sh
# The Python package: that it builds, with the library found in each of the ways that
# setup.py has; then python/test_pymalloc.py.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"
unset PYTHONMALLOC PYTHONPATH PYMALLOC_LIBRARY PYMALLOC_DIR || true

python=${PYTHON:-python3}
package=$top_srcdir/python

asks() { # Python's answer to a condition
    "$python" -c "import sys, sysconfig; sys.exit(not ($1))" 2>/dev/null
}

# Class and machine of two ELF files.
same_machine() {
    "$python" -c 'import sys
def kind(name):
    with open(name, "rb") as file:
        head = file.read(20)
    return head[4:6] + head[18:]
sys.exit(kind(sys.executable) != kind(sys.argv[1]))' "$library"
}

case $python in
:) plan_skip "python3 is not installed" ;;
esac
asks "sys.version_info >= (3, 10)" || plan_skip "python3 is older than 3.10"
same_machine || plan_skip "python3 is not for the machine that the library is for"
grep -q 'libc\.so\.6' "$library" || plan_skip "the library is not for python3's C library"
asks "__import__('os').path.exists(sysconfig.get_path('include') + '/Python.h')" ||
    plan_skip "Python.h is not installed"
asks "__import__('setuptools')" || plan_skip "setuptools is not installed"

setup() {
    (cd "$package" && "$python" -B setup.py -q "$@")
}

fails_saying() { # text, command...
    text=$1
    shift
    if said=$("$@" 2>&1); then
        same "success" "failure"
    else
        case $said in
        *"$text"*) ;;
        *) same "$said" "... $text ..." ;;
        esac
    fi
}

version=$(sed -n "s/^VERSION='\(.*\)'\$/\1/p" "$top_builddir/tools/pymalloc")

finds_a_build() {
    same "$(PYMALLOC_DIR=$top_builddir setup --version 2>/dev/null)" "$version"
}

finds_a_prefix() {
    mkdir -p "$scratch/prefix/lib" "$scratch/prefix/include/pymalloc"
    cp "$library" "$scratch/prefix/lib/libpymalloc.so.0"
    sed 's/^\(#define PYMALLOC_VERSION_PATCH\) .*/\1 77/' \
        "$top_srcdir/include/pymalloc/pymalloc.h" \
        >"$scratch/prefix/include/pymalloc/pymalloc.h"
    same "$(PYMALLOC_DIR=$scratch/prefix setup --version 2>/dev/null)" "${version%.*}.77"
}

finds_nothing() {
    PYMALLOC_DIR=$scratch fails_saying "there is no libpymalloc.so.0" setup --version &&
        PKG_CONFIG=false fails_saying "PYMALLOC_DIR can say" setup --version
}

# As pkg-config would tell of an installed library; without it, in the build folder.
builds() {
    if have "${PKG_CONFIG:-pkg-config}"; then
        printf '%s\n' "libdir=$top_builddir/lib/.libs" "Name: libpymalloc" \
            "Description: for this test" "Version: $version" \
            "Cflags: -I$top_srcdir/include" >"$scratch/libpymalloc.pc"
        PKG_CONFIG_PATH=$scratch
        export PKG_CONFIG_PATH
    else
        PYMALLOC_DIR=$top_builddir
        export PYMALLOC_DIR
    fi
    CC=$CC CFLAGS="-Wall -Wextra -Wshadow" quietly setup build --build-base "$scratch/build" \
        --build-lib "$scratch/lib" || return 1
    same "$(grep '^src/.*warning:' "$scratch/quietly")" ""
}

compiles_its_helper() {
    # shellcheck disable=SC2086 # a compiler may be several words
    quietly $CC -O2 -fPIC -shared "$package/test_hammer.c" -o "$scratch/hammer.so"
}

leaves_the_source_tree() {
    same "$(find "$package" | sort)" "$files"
}

files=$(find "$package" | sort)
check "setup.py finds a library that was built" finds_a_build
check "setup.py finds one that was installed" finds_a_prefix
check "setup.py says so if it finds none" finds_nothing
check "the package builds, without warnings" builds
check "nothing is written to the source tree" leaves_the_source_tree
check "what the tests need compiles" compiles_its_helper
[ "$tap_red" -eq 0 ] || done_testing

# It goes on counting, and ends with the plan.
PYTHONPATH=$scratch/lib PYMALLOC_HAMMER=$scratch/hammer.so \
    "$python" -B "$package/test_pymalloc.py" $((tap_number + 1)) || tap_red=1
done_testing
