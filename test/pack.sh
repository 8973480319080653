#!/bin/sh
# tools/pack, which makes the archive of a release: equal files give equal bytes.
# That all of a release is so, and not only this step, takes make check-dist.
# shellcheck disable=SC2046,SC2154 # a list of names; variables of lib.sh
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

tar --version 2>/dev/null | grep -q 'GNU tar' || plan_skip "there is no GNU tar"
pack=$(cd "$top_srcdir" && pwd)/tools/pack

# make_folder UMASK FILE...: sources in the order given, a link, and a program.
make_folder() {
    rm -rf "$scratch/sources"
    (
        umask "$1"
        shift
        mkdir -p "$scratch/sources/sub"
        cd "$scratch/sources"
        for file; do echo "$file" >"$file"; done
        echo 'exit 0' >program
        chmod u+x program
        ln -s one link
        touch -d "@$((${#1} * 1000000))" "$1"
        # Root's own number would be no proof.
        chown 1:1 "$1" 2>/dev/null || :
    )
}

packed() { # name: as an archive of that name
    (cd "$scratch" && SOURCE_DATE_EPOCH=1234567890 sh "$pack" sources >"$1.tar") &&
        [ -s "$scratch/$1.tar" ]
}

two_are_the_same() {
    make_folder 022 one two sub/three && packed first || return 1
    sleep 1
    make_folder 077 sub/three two one || return 1
    (TZ=Asia/Tokyo TAR_OPTIONS='--owner=daemon' LC_ALL=C.UTF-8 && export TZ TAR_OPTIONS &&
        packed second) || return 1
    quietly cmp "$scratch/first.tar" "$scratch/second.tar"
}

# What a listing says of permissions, owner, and time.
listed() { # column: its values
    TZ=UTC tar -tvf "$scratch/first.tar" --full-time | awk -v column="$1" '
        { print $column }' | sort -u | tr '\n' ' '
}

has_the_time() {
    same "$(listed 4) $(listed 5)" "2009-02-13  23:31:30 "
}

names_are_in_order() {
    make_folder 022 one $(seq 50 | sort -r) && packed first || return 1
    tar -tf "$scratch/first.tar" | grep '[0-9]' >"$scratch/names"
    quietly sort -c "$scratch/names"
}

has_no_owner() {
    same "$(listed 2)" "0/0 "
}

has_plain_permissions() {
    same "$(listed 1)" "-rw-r--r-- -rwxr-xr-x drwxr-xr-x "
}

# A copy of the sources that is no repository, as one that was unpacked.
has_the_time_of_a_release() {
    mkdir -p "$scratch/release/tools"
    cp "$pack" "$scratch/release/tools"
    touch -d @1111111111 "$scratch/release/configure.ac"
    (cd "$scratch" && unset SOURCE_DATE_EPOCH && sh release/tools/pack sources >first.tar)
    same "$(listed 4) $(listed 5)" "2005-03-18  01:58:31 "
}

plan 6
check "the same files give the same archive" two_are_the_same
check "all files have the time that is wanted" has_the_time
check "all files belong to nobody in particular" has_no_owner
check "permissions are what everybody may have" has_plain_permissions
check "files are in the order of their names" names_are_in_order
check "made from a release, it has the release's time" has_the_time_of_a_release
done_testing
