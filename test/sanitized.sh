#!/bin/sh
# Programs built with a sanitizer find the same errors with libpymalloc preloaded,
# whether the sanitizer's runtime is a part of the program or a library behind ours.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

unset ASAN_OPTIONS LSAN_OPTIONS MSAN_OPTIONS TSAN_OPTIONS UBSAN_OPTIONS || true

# With many random bits in addresses, an older ThreadSanitizer finds no place.
plain_addresses=
if setarch "$(uname -m)" -R true 2>/dev/null; then
    plain_addresses="setarch $(uname -m) -R"
fi

# found_by LOG ERROR...: what the program reports of errors in small and large blocks.
# ASan's check of the order is off; it would refuse to run behind a library.
found_by() {
    log=$1
    shift
    for size in 13 4096; do
        # shellcheck disable=SC2086
        ASAN_OPTIONS=verify_asan_link_order=0:halt_on_error=0 timeout 120 \
            $plain_addresses "$scratch/program" "$size" "$@" || true
    done >"$log.all" 2>&1
    grep 'SUMMARY:\|runtime error:\|^at the end' "$log.all" >"$log"
}

# build COMPILER SANITIZER FLAG...
build() {
    compiler=$1
    sanitizer=$2
    shift 2
    runtime=$(dirname "$("$compiler" -print-file-name=libclang_rt.asan-x86_64.so)")
    "$compiler" -g -w -fsanitize="$sanitizer" "$@" "$srcdir/test/sanitized_probe.c" \
        -pthread -Wl,-rpath,"$runtime" -o "$scratch/program" >"$scratch/build" 2>&1
}

# finds NUMBER ERROR...: so many reports without the library, and the same with it.
finds() {
    number=$1
    shift
    found_by "$scratch/plain" "$@"
    if [ "$(grep -c 'SUMMARY:\|runtime error:' "$scratch/plain")" -lt "$number" ]; then
        grep -v '^ *#[0-9]' "$scratch/plain.all" | head -n 60 | note
        return 1
    fi
    LD_PRELOAD=$library
    export LD_PRELOAD
    found_by "$scratch/preloaded" "$@"
    unset LD_PRELOAD
    if ! diff "$scratch/plain" "$scratch/preloaded" >"$scratch/diff"; then
        note <"$scratch/diff"
        return 1
    fi
}

# find_with NUMBER "COMPILER SANITIZER FLAG..." ERROR...
find_with() {
    number=$1
    settings=$2
    shift 2
    name="$settings: $*"
    # shellcheck disable=SC2086
    if ! have "${settings%% *}"; then
        skip "$name" "it is not installed"
    elif ! build $settings; then
        skip "$name" "such programs cannot be built here"
    else
        check "$name" finds "$number" "$@"
    fi
}

recover=-fsanitize-recover=address

plan 13
for settings in "gcc address $recover" "gcc address $recover -static-libasan" \
    "clang address $recover" "clang address $recover -shared-libasan"; do
    find_with 8 "$settings" overrun after-free leak twice-freed
done
for settings in "gcc thread" "gcc thread -static-libtsan" "clang thread"; do
    find_with 4 "$settings" race after-free
done
for settings in "gcc leak" "clang leak"; do
    find_with 2 "$settings" leak
done
find_with 2 "clang memory -fsanitize-recover=memory" uninitialised
for settings in "gcc undefined" "clang undefined"; do
    find_with 2 "$settings" overflow
done

# What a user sees who has not read that ASan is to come first.
asan_wants_to_come_first() {
    LD_PRELOAD=$library "$scratch/program" >"$scratch/log" 2>&1 && return 1
    grep -q 'ASan runtime does not come first' "$scratch/log"
}
if have gcc && build gcc address; then
    check "ASan says that it does not come first" asan_wants_to_come_first
else
    skip "ASan says that it does not come first" "such programs cannot be built here"
fi
done_testing
