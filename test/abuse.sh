#!/bin/sh
# Programs that misuse the heap, each once (test/abuse/): what the plain library and the
# hardened one do about it, for blocks of several sizes, is what test/abuse/expected says.
#
#     test/abuse.sh --record
#
# prints what they do now, in the form of that file.  Read it before you believe it.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

hardened=${library%.so}-hardened.so
programs=$top_builddir/test/abuse
expected=$top_srcdir/test/abuse/expected
# No core files, where the shell knows of them.
# shellcheck disable=SC3045
ulimit -c 0 2>/dev/null || true

# read_report LINE: sets what to the misuse that a line of the library names.  The line
# must be as it is documented, and name the block that the program meant.
hint='run the program under valgrind or a sanitizer to find where'
read_report() {
    what=${1#pymalloc: }
    case $what in
    "verify: "*": 0x"*)
        where=${what##*: }
        what=${what%: *}
        ;;
    *": block 0x"*", size class "[0-9]*", thread "[0-9]*"; $hint")
        where=${what#*: block }
        where=${where%%,*}
        what=${what%%: block*}
        ;;
    *)
        what="a strange line ($1)"
        return
        ;;
    esac
    [ -z "$block" ] || [ "$where" = "$block" ] || what="$what (of another block)"
}

# What the library said, each thing once.
read_reports() {
    said=
    while IFS= read -r line; do
        case $line in
        "pymalloc: "*)
            read_report "$line"
            case ", $said," in
            *", $what,"*) ;;
            *) said="${said:+$said, }$what" ;;
            esac
            ;;
        esac
    done <"$scratch/err"
}

# What the program said: the block that it is about, and how it ended.
read_words() {
    block=
    word=
    while IFS= read -r line; do
        case $line in
        "block "*) block=${line#block } ;;
        *) word=$line ;;
        esac
    done <"$scratch/out"
}

# run PROGRAM SIZE MODE: sets outcome to what happens.
run() {
    used=$hardened
    options=
    case $3 in
    plain) used=$library ;;
    *:*) options=$3 ;;
    esac
    status=0
    { LD_PRELOAD=$used PYMALLOC=$options "$programs/$1" "$2" >"$scratch/out" \
        2>"$scratch/err"; } 2>/dev/null || status=$?
    read_words
    read_reports
    case $status in
    0) end=$word ;;
    134) end=SIGABRT ;;
    139) end=SIGSEGV ;;
    *) end="status $status" ;;
    esac
    outcome=$end${said:+: $said}
}

# Without a word of ours anything may happen, and what depends on the system allocator.
unnoticed='not caught'

# judge PROGRAM SIZES MODE OUTCOME
judge() {
    wrong=0
    for size in $(echo "$2" | tr , ' '); do
        run "$1" "$size" "$3"
        if [ "$4" = "$unnoticed" ] && [ -z "$said" ]; then
            continue
        fi
        [ "$outcome" = "$4" ] || {
            echo "$1 $size under $3: $outcome" | note
            echo "expected: $4" | note
            wrong=1
        }
    done
    return "$wrong"
}

record() {
    grep -v '^#' "$expected" | while read -r program sizes mode _; do
        for size in $(echo "$sizes" | tr , ' '); do
            run "$program" "$size" "$mode"
            echo "$program $size $mode $outcome"
        done
    done
}

if [ "${1:-}" = --record ]; then
    record
    exit
fi

rows=$(grep -c '^[^#]' "$expected")
plan "$((rows + 1))"
while read -r program sizes mode outcome_expected; do
    case $program in
    '' | '#'*) continue ;;
    esac
    check "$program of $sizes bytes, $mode" judge "$program" "$sizes" "$mode" "$outcome_expected"
done <"$expected"

# Nothing is tried without being looked at.
all_are_expected() {
    for source in "$top_srcdir"/test/abuse/*.c "$top_srcdir"/test/abuse/*.cc; do
        program=${source##*/}
        for mode in plain hardened; do
            grep -q "^${program%.*} .* $mode " "$expected" || {
                echo "${program%.*} under $mode is not in the table" | note
                return 1
            }
        done
    done
}
check "every program is in the table" all_are_expected
done_testing
