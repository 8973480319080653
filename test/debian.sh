#!/bin/sh
# The Debian packages: built from a packed source, looked at, and installed.  "make
# check-debian" runs it, some five minutes.  It needs what debian/control asks for, and
# for all of it lintian, and as root mmdebstrap and a mirror of Debian's packages.
# shellcheck disable=SC2016,SC2086,SC2154 # another shell's variables; lists; those of lib.sh
set -eu
export LC_ALL=C
needs_library=no # for lib.sh
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

: "${MAKE:=make}"
# The jobs of the make that runs this test are not ours to share, nor is its CC.
unset MAKEFLAGS MFLAGS MAKELEVEL CC CXX DESTDIR || true
unset DEB_BUILD_OPTIONS DEB_BUILD_PROFILES DEB_BUILD_MAINT_OPTIONS DPKG_ROOT || true

have dpkg-buildpackage || plan_skip "dpkg-buildpackage is not installed"
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)
grep -q "^Architecture: .*\<$architecture\>" "$top_srcdir/debian/control" ||
    plan_skip "there is no package for $architecture"
missing=$(cd "$top_srcdir" && dpkg-checkbuilddeps 2>&1 >/dev/null | sed 's/.*: //')
[ -z "$missing" ] || plan_skip "what the build needs is not installed: $missing"

version=$(cd "$top_srcdir" && dpkg-parsechangelog -S Version)
source=libpymalloc-$version
root=$scratch/root
libraries=$root/usr/lib/$multiarch
packages='libpymalloc0 libpymalloc-dev pymalloc-tools libpymalloc0-dbgsym'

# ------------------------------------------------------------------- the building

# What make dist would pack, so that a file which that forgets is missed here.
make_source() {
    "$MAKE" -s -C "$top_builddir" distdir distdir="$scratch/$source" &&
        (cd "$scratch/$source" && dpkg-buildpackage -us -uc -S)
}

unpack_source() {
    mkdir "$scratch/build" &&
        dpkg-source -x "$scratch/libpymalloc_$version.dsc" "$scratch/build/source"
}

build() {
    (cd "$scratch/build/source" &&
        DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" dpkg-buildpackage -us -uc -b)
}

names_of_packages() {
    (cd "$scratch/build" && for file in *.deb; do echo "${file%%_*}"; done) | sort
}

has_all_packages() {
    same "$(names_of_packages)" "$(printf '%s\n' $packages | sort)"
}

package_file() { # package
    echo "$scratch/build/$1_${version}_$architecture.deb"
}

# -------------------------------------------------------------------- what is wrong

# An override that nothing needs is wrong as well.
lintian_is_content() { # changes
    lintian --allow-root --profile debian --display-info --fail-on error,warning,info \
        --tag-display-limit 0 "$1"
}

# -------------------------------------------------------------------- what is there

unpack() {
    for package in $packages; do
        dpkg-deb -x "$(package_file "$package")" "$root" || return 1
        dpkg-deb -c "$(package_file "$package")" |
            awk '$1 !~ /^d/ { print substr($6, 3) }' >"$scratch/$package.files" || return 1
    done
}

# Beside what each package has in /usr/share/doc and of lintian's.
has_only() { # package, pattern of names
    grep -v -E -e "^usr/share/doc/$1(\$|/)" -e "^usr/share/lintian/overrides/$1\$" \
        "$scratch/$1.files" >"$scratch/files"
    [ -s "$scratch/files" ] && ! grep -v -x -E "$2" "$scratch/files"
}

# Whether each is in exactly this package.
has() { # package, name...
    package=$1
    shift
    for name; do
        same "$(cd "$scratch" && grep -l -x -F -e "$name" -- *.files)" "$package.files" || {
            echo "$name"
            return 1
        }
    done
}

has_for_builds() {
    has libpymalloc-dev usr/include/pymalloc/pymalloc.h usr/include/pymalloc/gc.h \
        "usr/lib/$multiarch/libpymalloc.so" "usr/lib/$multiarch/libpymalloc.a" \
        "usr/lib/$multiarch/libpymalloc-hardened.so" \
        "usr/lib/$multiarch/libpymalloc-hardened.a" \
        "usr/lib/$multiarch/pkgconfig/libpymalloc.pc" \
        "usr/lib/$multiarch/cmake/pymalloc/pymalloc-config.cmake" \
        usr/share/aclocal/ax_pymalloc.m4 usr/share/doc/libpymalloc-dev/examples/stats.c \
        usr/share/man/man3/libpymalloc.3.gz usr/share/man/man3/pygc.3.gz
}

has_tools() {
    gdb_folder=usr/share/gdb/auto-load/usr/lib/$multiarch
    library_file=$(basename "$(readlink -f "$libraries/libpymalloc.so.0")")
    has pymalloc-tools usr/bin/pymalloc usr/share/man/man1/pymalloc.1.gz \
        usr/share/man/man7/pymalloc-options.7.gz \
        usr/share/bash-completion/completions/pymalloc \
        usr/share/libpymalloc/pymalloc_tool/__main__.py \
        usr/share/libpymalloc/gdb/pymalloc_gdb/commands.py \
        "$gdb_folder/$library_file-gdb.py"
}

field() { # package, name
    dpkg-deb -f "$(package_file "$1")" "$2"
}

depends_as_it_should() {
    case $(field libpymalloc0 Depends) in
    "libc6 (>= "*[!,]) ;;
    *) field libpymalloc0 Depends && return 1 ;;
    esac
    field libpymalloc-dev Depends | grep -F "libpymalloc0 (= $version)" &&
        field pymalloc-tools Depends | grep -F "libpymalloc0 (= $version)" &&
        field pymalloc-tools Depends | grep -w python3
}

# Two architectures at once: these packages may have no file that differs between them.
may_be_installed_twice() {
    for package in libpymalloc0 libpymalloc-dev; do
        [ "$(field "$package" Multi-Arch)" = same ] || return 1
    done
    ! grep -r -l -F -e "$multiarch" "$root/usr/include" \
        "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/aclocal"
}

# ------------------------------------------------------------------- what was built

# The hardened library is without the object layer.
exports() { # library's name
    case $1 in
    *-hardened) grep -v '^pygc_' "$top_srcdir/test/symbols.expected" ;;
    *) cat "$top_srcdir/test/symbols.expected" ;;
    esac >"$scratch/expected"
    nm -D --defined-only "$libraries/$1.so.0" | sed 's/.* //' | sort -u |
        diff "$scratch/expected" -
}

# What Debian's flags may not do, and what they are for.
is_built_right() { # library's name
    nm -D "$libraries/$1.so.0" >"$scratch/symbols"
    readelf -dlW "$libraries/$1.so.0" >"$scratch/headers"
    ! grep __stack_chk_fail "$scratch/symbols" && grep BIND_NOW "$scratch/headers" &&
        grep GNU_RELRO "$scratch/headers" && ! grep RWE "$scratch/headers"
}

has_debugging_symbols() { # library's name
    id=$(readelf -n "$libraries/$1.so.0" | sed -n 's/.*Build ID: //p')
    folder=$(echo "$id" | cut -c1-2)
    has libpymalloc0-dbgsym "usr/lib/debug/.build-id/$folder/${id#??}.debug"
}

# A package that knows the folder of its build is another one each time.
knows_no_folder() {
    find "$root" -name '*.gz' -exec gunzip -k -f {} + &&
        find "$root" -name '*.debug' -exec objcopy --decompress-debug-sections {} \; &&
        ! grep -r -l -F -e "$scratch" "$root"
}

# ----------------------------------------------------------------- what it does

# The tests that the source package brings, on the unpacked packages.
works_unpacked() { # test
    mkdir "$scratch/unpacked-$1" && env \
        AUTOPKGTEST_TMP="$scratch/unpacked-$1" \
        EXAMPLES="$root/usr/share/doc/libpymalloc-dev/examples" \
        PATH="$root/usr/bin:$PATH" LD_LIBRARY_PATH="$libraries" \
        LIBRARY_PATH="$libraries" CPATH="$root/usr/include" \
        PKG_CONFIG_PATH="$libraries/pkgconfig" CMAKE_PREFIX_PATH="$root/usr" \
        sh "$top_srcdir/debian/tests/$1"
}

# ------------------------------------------------------------------- in a system

chroot=$scratch/chroot

# What the source package's own tests depend on, beside its packages.
other_packages() {
    sed -n 's/^Depends: //p' "$top_srcdir/debian/tests/control" | tr -d ' ' | tr ',' '\n' |
        grep -v pymalloc | sort -u | tr '\n' ','
}

# inside COMMAND...: in the chroot, with /proc mounted for as long as this runs.
inside() {
    unshare --mount --propagation private sh -c '
        mount -t proc proc "$1/proc" && shift && exec "$@"' sh "$chroot" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C \
        DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1 chroot "$chroot" "$@"
}

# Why there is no system to install into; nothing if there is one.
make_system() {
    [ "$(id -u)" -eq 0 ] || { echo "that takes root" && return 0; }
    have mmdebstrap || { echo "mmdebstrap is not installed" && return 0; }
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    timeout 600 mmdebstrap --variant=apt --include="$(other_packages)gdb" "$suite" \
        "$chroot" >"$scratch/mmdebstrap" 2>&1 || {
        echo "mmdebstrap failed: $(grep '^E:' "$scratch/mmdebstrap" | head -n 1)"
        return 0
    }
    inside true 2>"$scratch/mmdebstrap" ||
        echo "the chroot cannot be used: $(head -n 1 "$scratch/mmdebstrap")"
}

# What dpkg and ldconfig themselves write down does not count.
names_in_system() {
    (cd "$chroot" && find . -path ./var/log -prune -o -path ./var/lib/dpkg -prune -o \
        -path ./var/cache/ldconfig -prune -o -path ./tmp -prune -o -print | sort)
}

install_packages() {
    names_in_system >"$scratch/before"
    mkdir "$chroot/tmp/packages" || return 1
    for package in $packages; do
        cp "$(package_file "$package")" "$chroot/tmp/packages" || return 1
    done
    cp -R "$top_srcdir/debian/tests" "$chroot/tmp/tests" &&
        inside sh -c 'dpkg -i /tmp/packages/*.deb'
}

# dpkg would find a file that is not as its package has it.
is_installed_whole() {
    inside dpkg --verify >"$scratch/verified" && ! grep . "$scratch/verified"
}

works_installed() { # test
    mkdir "$chroot/tmp/work-$1" &&
        inside env AUTOPKGTEST_TMP="/tmp/work-$1" sh "/tmp/tests/$1"
}

is_compiled() {
    [ -n "$(find "$chroot/usr/share/libpymalloc" -name '*.pyc')" ]
}

# By the installed file of commands, which gdb loads by itself, with the installed
# debugging symbols.
gdb_knows_it() {
    inside gdb -q -batch -nx -iex 'set debuginfod enabled off' \
        -ex 'set startup-with-shell off' -ex 'set breakpoint pending on' \
        -ex 'set environment LD_PRELOAD libpymalloc.so.0' -ex 'break write' -ex run \
        -ex 'pymalloc heaps' --args /bin/echo text </dev/null >"$scratch/gdb" 2>&1
    cat "$scratch/gdb"
    grep '^1 heap' "$scratch/gdb"
}

purge_packages() {
    inside dpkg --purge $packages
}

nothing_is_left() {
    names_in_system >"$scratch/after"
    diff "$scratch/before" "$scratch/after" &&
        ! inside sh -c 'ls /var/lib/dpkg/info | grep pymalloc' &&
        ! inside sh -c 'ldconfig -p | grep pymalloc'
}

# in_system NAME COMMAND...: a check, if there is a system.
in_system() {
    if [ -n "$reason" ]; then
        skip "$1" "$reason"
    else
        name=$1
        shift
        check "$name" quietly "$@"
    fi
}

# --------------------------------------------------------------------------------

plan 29
# Beside the build: each waits much of its time.
make_system >"$scratch/no_system" &
system=$!
check "the source package is made" quietly make_source
check "the source package unpacks" quietly unpack_source
check "the packages are built from it" quietly build
if have lintian; then
    check "lintian is content with the source package" \
        quietly lintian_is_content "$scratch/libpymalloc_${version}_source.changes"
    check "lintian is content with the packages" \
        quietly lintian_is_content "$scratch/build/libpymalloc_${version}_$architecture.changes"
else
    skip "lintian is content with the source package" "lintian is not installed"
    skip "lintian is content with the packages" "lintian is not installed"
fi
check "there are the packages that there should be" has_all_packages
check "they can be unpacked" quietly unpack
check "the library's package has the libraries alone" quietly has_only libpymalloc0 \
    "usr/lib/$multiarch/libpymalloc(-hardened)?\.so\.[0-9.]*"
check "what builds need is in the package for development" quietly has_for_builds
check "the tools and their manual are in theirs" quietly has_tools
check "the packages depend on each other, on libc and on Python" quietly depends_as_it_should
check "libraries of two architectures may be installed" quietly may_be_installed_twice
for name in libpymalloc libpymalloc-hardened; do
    check "$name exports what it should" quietly exports "$name"
    check "$name is hardened, but its functions have no stack protector" \
        quietly is_built_right "$name"
    check "$name has its debugging symbols" quietly has_debugging_symbols "$name"
done
check "no file knows the folder of the build" quietly knows_no_folder
check "unpacked, the programs run" quietly works_unpacked programs
if have cmake && have pkg-config; then
    check "unpacked, programs are linked" quietly works_unpacked link
else
    skip "unpacked, programs are linked" "cmake or pkg-config is not installed"
fi

wait "$system"
reason=$(cat "$scratch/no_system")
in_system "the packages install, with no others than their tests ask for" install_packages
in_system "no installed file differs" is_installed_whole
in_system "installed, the programs run" works_installed programs
in_system "installed, programs are linked" works_installed link
in_system "the Python modules are compiled" is_compiled
in_system "gdb finds its commands and the debugging symbols" gdb_knows_it
in_system "the packages can be purged" purge_packages
in_system "nothing of them is left" nothing_is_left
done_testing
