#!/bin/sh
# The subcommands of pymalloc that show a heap: how they are found and started, what check
# finds out, completion in bash; then view_test.py, and a process that really serves.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"
unset PYMALLOC_LIBRARY || true
export top_srcdir

built=$top_builddir/tools/pymalloc
python=${PYTHON:-python3}
case $python in
:) plan_skip "python3 is not installed" ;;
esac
have python3 || plan_skip "python3 is not in PATH"

children=
trap 'kill $children 2>/dev/null || true; rm -rf "$scratch"' EXIT

# gives STATUS COMMAND...: the command's output goes to $out and $err.
gives() {
    wanted=$1
    shift
    status=0
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
    out=$(cat "$scratch/out")
    err=$(cat "$scratch/err")
    same "$status" "$wanted" || {
        printf '%s\n' "$out" "$err" | note
        return 1
    }
}

says() { # text, in which
    case $2 in
    *"$1"*) ;;
    *) same "$2" "... $1 ..." ;;
    esac
}

# fails STATUS TEXT COMMAND...: with one line on standard error.
fails() {
    text=$2
    gives "$1" "$3" "$4" ${5+"$5"} || return 1
    same "$out" "" && says "$text" "$err" && same "$(grep -c . "$scratch/err")" 1
}

# ------------------------------------------------------------------- from the launcher

subcommands="check stats top map why diff"

lists_them() {
    gives 0 "$built" --help || return 1
    for subcommand in run profile $subcommands; do
        says "
  $subcommand " "$out" || return 1
    done
}

each_has_help() {
    for subcommand in $subcommands; do
        gives 0 "$built" "$subcommand" --help && says "usage: pymalloc $subcommand " "$out" ||
            return 1
    done
}

# A PATH with all but python3.
without_python() {
    mkdir -p "$scratch/bin"
    for tool in sh readlink dirname cat; do
        ln -sf "$(command -v $tool)" "$scratch/bin/$tool"
    done
    old_path=$PATH
    PATH=$scratch/bin
    status=0
    said=$("$built" stats 1 2>&1) || status=$?
    PATH=$old_path
    same "$status: $said" \
        "125: pymalloc: python3 is not in PATH; pymalloc stats needs it (3.9 or later)"
}

variable() { # of the launcher
    sed -n "s/^$1='\(.*\)'\$/\1/p" "$built"
}

# An installed tree that was moved as a whole, with a subcommand that was not there
# when the launcher was made.
moved_tree() {
    prefix=$(variable prefix)
    bin=$scratch/moved$(variable bindir | sed "s|^$prefix||")
    data=$scratch/moved$(variable pkgdatadir | sed "s|^$prefix||")
    mkdir -p "$bin" "$data"
    cp "$built" "$bin/pymalloc"
    cp -R "$top_srcdir/tools/pymalloc_tool" "$data"
    chmod -R u+w "$scratch/moved"
    rm -rf "$data/pymalloc_tool/__pycache__" "$data/pymalloc_tool/profile.py"
    moved=$bin/pymalloc
    fails 125 "profile is not part of this installation" "$moved" profile || return 1
    printf '%s\n' 'def main(argv):' '    print(argv)' '    return 9' \
        >"$data/pymalloc_tool/profile.py"
    gives 9 "$moved" profile "a b" --c && same "$out" "['a b', '--c']" || return 1
    # Others may not be able to write there, and nobody expects it.
    same "$(find "$scratch/moved" -name '*.pyc')" ""
}

through_a_link() {
    ln -s "$built" "$scratch/link"
    gives 0 "$scratch/link" stats --help
}

# Modules of the user and of the current folder are not ours.
isolated() {
    mkdir "$scratch/elsewhere"
    echo 'raise SystemExit(77)' >"$scratch/elsewhere/json.py"
    cp "$scratch/elsewhere/json.py" "$scratch/elsewhere/pymalloc_tool.py"
    (cd "$scratch/elsewhere" && PYTHONPATH=. gives 0 "$built" stats --help)
}

pipe_that_closes() {
    gives 0 "$python" -B "$top_srcdir/test/view_snapshots.py" 300 || return 1
    cp "$scratch/out" "$scratch/snapshot.json"
    # More than fits into the pipe that nobody reads.
    "$built" map -o - "$scratch/snapshot.json" 2>"$scratch/err" | true
    same "$(cat "$scratch/err")" ""
}

# ends_with STATUS TEXT COMMAND...: with its streams as the command sets them up, and with
# no more than one line of standard error, which has the text.
ends_with() {
    wanted=$1 text=$2
    shift 2
    status=0
    "$@" 2>"$scratch/err" || status=$?
    err=$(cat "$scratch/err")
    same "$status" "$wanted" && says "$text" "$err" && [ "$(grep -c . "$scratch/err")" -le 1 ] || {
        printf '%s\n' "$err" | note
        return 1
    }
}

to_full() {
    "$@" >/dev/full
}

to_nothing() {
    "$@" >&-
}

from_nothing() {
    "$@" <&-
}

into_a_closed_pipe() {
    { "$@" && echo 0 >"$scratch/status" || echo $? >"$scratch/status"; } | true
    return "$(cat "$scratch/status")"
}

in_a_closed_pipe() { # with standard error as well
    into_a_closed_pipe sh -c '"$@" 2>&1' sh "$@"
}

output_that_nobody_takes() {
    recorded=$top_srcdir/test/view_recorded.json
    for way in to_full to_nothing; do
        for command in "stats --json" stats "why" "stats --help"; do
            # shellcheck disable=SC2086 # a command and its option
            ends_with 6 "standard output: " $way "$built" $command "$recorded" || return 1
        done
    done
    ends_with 6 "-: Bad file descriptor" from_nothing "$built" stats - || return 1
    ends_with 0 "" into_a_closed_pipe "$built" stats --help &&
        ends_with 6 "" in_a_closed_pipe "$built" stats "$scratch/no"
}

check "--help lists them" lists_them
check "each has its own --help" each_has_help
check "without python3 there is a clear word" without_python
check "the exit status arrives" fails 6 "No such file" "$built" stats "$scratch/no"
check "a wrong option is wrong usage" fails 2 "see pymalloc stats --help" "$built" stats --no
check "a moved tree; a new subcommand; no bytecode left" moved_tree
check "through a link" through_a_link
check "modules of others do not matter" isolated
check "a closed pipe is no error" pipe_that_closes
check "output that nobody takes is an error" output_that_nobody_takes

# ---------------------------------------------------------------------------- check

cat >"$scratch/wait.c" <<'END'
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    void *volatile block = malloc(100);
    free(block);
    return argc > 1 ? pause() : 0;
}
END
$CC "$scratch/wait.c" -o "$scratch/wait"
if "$scratch/wait" 2>/dev/null; then
    runs=true
else
    runs=false
fi

# started COMMAND...: in the background; child is its process, once it has become wait.
started() {
    "$@" >/dev/null 2>&1 &
    child=$!
    children="$children $child"
    left=600
    until [ "$(tr '\0' ' ' <"/proc/$child/cmdline" | cut -d' ' -f1)" = "$waiter" ] &&
        grep -q '^State:.S' "/proc/$child/status"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.1
    done
}

program_yes() {
    gives 0 "$built" check "$scratch/wait" && says "yes: " "$out" &&
        says "kind     plain" "$out" && says "libpymalloc.so" "$out" || return 1
    gives 0 "$built" check --hardened "$scratch/wait" && says "kind     hardened" "$out"
}

program_no() {
    gives 1 "$built" check "$scratch/no-such-program" && says "not found" "$out" || return 1
    $CC -static "$scratch/wait.c" -o "$scratch/static" 2>/dev/null || return 0
    gives 1 "$built" check "$scratch/static" && says "no: " "$out" &&
        says "statically linked" "$out"
}

process_yes() {
    waiter=$scratch/wait
    version=$("$built" --version | sed 's/.* //')
    started "$built" run --option decay:9 -- "$scratch/wait" x || return 1
    gives 0 "$built" check "$child" && says "yes: libpymalloc is active" "$out" &&
        says "kind      plain" "$out" && says "version   $version" "$out" &&
        says "decay:9" "$out" && says "served    no" "$out" || return 1
    fails 4 "serves no snapshots" "$built" stats "$child" || return 1
    started "$built" run --hardened -- "$scratch/wait" x &&
        gives 0 "$built" check "$child" && says "kind      hardened" "$out"
}

process_no() {
    waiter=$scratch/wait
    started "$scratch/wait" x && gives 1 "$built" check "$child" &&
        says "no: LD_PRELOAD did not name it" "$out" || return 1
    kill "$child"
    wait "$child" 2>/dev/null || true
    fails 3 "there is no process" "$built" check "$child"
}

process_static() {
    waiter=$scratch/with-archive
    $CC "$scratch/wait.c" "$archive" -pthread -ldl -o "$waiter" || return 1
    started "$waiter" x && gives 0 "$built" check "$child" && says "(linked statically)" "$out"
}

process_behind() {
    waiter=$scratch/wait
    started env LD_PRELOAD="$jemalloc:$library" "$scratch/wait" x || return 1
    gives 1 "$built" check "$child" && says "is before libpymalloc" "$out" || return 1
    started env LD_PRELOAD="$library:$jemalloc" "$scratch/wait" x || return 1
    gives 0 "$built" check "$child" && says "another allocator is mapped" "$out"
}

jemalloc=$(find /usr/lib /usr/local/lib -name 'libjemalloc.so.2' 2>/dev/null | head -n 1)
if $runs; then
    check "check of a program that would run on it" program_yes
    check "check of programs that would not" program_no
    check "check of a process that runs on it" process_yes
    check "check of a process that does not" process_no
    if [ -e "$archive" ]; then
        check "check of a process that is linked with the archive" process_static
    else
        skip "check of a process that is linked with the archive" "this build has none"
    fi
    if [ -n "$jemalloc" ]; then
        check "check of a process with another allocator in front" process_behind
    else
        skip "check of a process with another allocator in front" "libjemalloc.so.2 is not installed"
    fi
else
    for name in "a program that would run on it" "programs that would not" \
        "a process that runs on it" "a process that does not" \
        "a process that is linked with the archive" \
        "a process with another allocator in front"; do
        skip "check of $name" "programs of this host do not run here"
    done
fi

# ------------------------------------------------------------------------ completion

# completes WANTED WORD...: the last word is completed; what comes out has the wanted
# words in it, and no word with a "!" before it.
completes() {
    wanted=$1
    shift
    # shellcheck disable=SC2016 # bash is to expand this
    quietly bash --norc -c '
        wanted=$1 completion=$2
        shift 2
        . "$completion"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _pymalloc
        for word in $wanted; do
            found=no
            for got in "${COMPREPLY[@]}"; do [[ $got == "${word#!}" ]] && found=yes; done
            [[ $word == !* ]] && right=no || right=yes
            [[ $found == "$right" ]] || { echo "$word in: ${COMPREPLY[*]}" && exit 1; }
        done' bash "$wanted" "$top_srcdir/tools/completion/pymalloc" "$built" "$@"
}

completes_all() {
    completes "stats !top" st && completes "run top --help" "" &&
        completes "--json --save !--once" stats -- &&
        completes "--sort --once" top - && completes "live !held" top --sort l &&
        completes "--hardened --option" run -- &&
        completes "--format --leaks --" profile -- && completes "pprof !gif" profile --format p &&
        completes "peak" profile --value "" && completes "$scratch/wait" profile -- "$scratch/wa" &&
        completes "$scratch/wait" run "$scratch/wa" &&
        completes "$scratch/wait.c" stats "$scratch/wa" &&
        completes "!$scratch/wait.c" top "$scratch/wa"
}

completes_library_options() {
    completes "decay: cache: !decay" run --option ""
}

if have bash; then
    check "bash completes commands, options and files" completes_all
    if $runs; then
        check "bash completes the library's options" completes_library_options
    else
        skip "bash completes the library's options" "programs of this host do not run here"
    fi
else
    skip "bash completes commands, options and files" "bash is not installed"
    skip "bash completes the library's options" "bash is not installed"
fi

# ------------------------------------------------------------- the library itself serves

looked_at() {
    waiter=$scratch/wait
    started "$built" run --option serve:1 -- "$scratch/wait" x || return 1
    left=600
    until "$built" check "$child" | grep -q '^served *yes'; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || same "not served" "served" || return 1
        sleep 0.1
    done
    gives 0 "$built" stats "$child" && says "wait ($child): libpymalloc" "$out" &&
        gives 0 "$built" stats --json "$child" &&
        gives 0 "$built" stats --save "$scratch/real.json" "$child" &&
        gives 0 "$built" stats "$scratch/real.json" &&
        gives 0 "$built" top --once "$child" &&
        gives 0 "$built" why "$child" && says "live in" "$out" &&
        gives 0 "$built" map -o "$scratch/real.html" "$child" &&
        grep -q 'data-class=' "$scratch/real.html" &&
        gives 0 "$built" diff "$scratch/real.json" "$child" && completes "$child" stats ""
}

if ! $runs; then
    skip "a process that serves is looked at" "programs of this host do not run here"
elif ! PYMALLOC=help "$built" run -- true 2>&1 | grep -q '^  serve:'; then
    skip "a process that serves is looked at" "the library has no option serve"
else
    check "a process that serves is looked at" looked_at
fi

# ------------------------------------------------------------------------- the figures

# It goes on counting, and ends with the plan.
"$python" -B "$top_srcdir/test/view_test.py" $((tap_number + 1)) || tap_red=1
done_testing
