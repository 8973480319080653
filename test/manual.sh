#!/bin/sh
# The manual pages: that they are sound, and that they say what there is, and nothing
# that there is not.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

have groff || plan_skip "groff is not installed"

header=$top_srcdir/include/pymalloc/pymalloc.h
library_page=$top_srcdir/doc/libpymalloc.3
launcher_page=$top_srcdir/doc/pymalloc.1
options_page=$top_builddir/doc/pymalloc-options.7
pages="$library_page $launcher_page $options_page $top_srcdir/doc/pygc.3"
launcher=$top_builddir/tools/pymalloc

# is_empty FILE: else its lines are the complaints.
is_empty() {
    note <"$1"
    ! [ -s "$1" ]
}

# The text of a page, without hyphenation and overstriking.
text_of() { # page
    groff -man -Tascii -P-cbou -rHY=0 -rLL=200n -dAD=l "$1"
}

# All in one line, with single blanks.
flat() {
    tr -s ' \n' '  '
}

# The text between a heading and the next one like it; a section's heading begins its
# line, a subsection's has three blanks.
section() { # heading with its blanks
    awk -v heading="$1" '
        BEGIN { depth = match(heading, /[^ ]/) - 1 }
        $0 == heading { inside = 1; next }
        /[^ ]/ && match($0, /[^ ]/) - 1 <= depth { inside = 0 }
        inside'
}

for page in $pages; do
    text_of "$page" >"$scratch/$(basename "$page").text"
done

# ---------------------------------------------------------------- pages as such

groff_is_content() { # page
    groff -ww -man -Tutf8 -z "$1" >"$scratch/found" 2>&1
    is_empty "$scratch/found"
}

man_is_content() { # page
    MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z "$1" 2>"$scratch/found" >/dev/null
    is_empty "$scratch/found"
}

# A page has no date of its own: its version tells how old it is.
mandoc_is_content() { # page
    mandoc -Tlint -W warning "$1" | grep -v 'missing date, using "": TH' \
        >"$scratch/found"
    is_empty "$scratch/found"
}

has_the_version() { # page
    same "$(sed -n 's/^\.TH .*"libpymalloc \([^"]*\)".*/\1/p' "$1")" \
        "$(sed -n 's/^#define VERSION "\(.*\)"/\1/p' "$top_builddir/config.h")"
}

# ------------------------------------------------------------------ the library

# Declarations as the header has them, one a line.
declared() {
    sed -e 's|/\*.*\*/||' -e '/\/\*/,/\*\//d' -e '/^#/d' \
        -e '/^\(struct\|enum\) .*{$/,/^};/d' -e '/^extern "C"/d' -e '/^}/d' "$header" | flat |
        sed -e 's/; */;\n/g' -e 's/^ *//' | grep '\<pymalloc_[a-z_]*(' | sort
}

shown() {
    section SYNOPSIS <"$scratch/libpymalloc.3.text" |
        sed -n '/^ *#include/,$p' | sed 1d | flat | sed 's/; */;\n/g' |
        sed 's/^ *//' | grep . | sort
}

prototypes_are_the_headers() {
    declared >"$scratch/declared"
    shown >"$scratch/shown"
    [ "$(wc -l <"$scratch/declared")" -ge 9 ] &&
        quietly diff "$scratch/declared" "$scratch/shown"
}

# Every name, but those of the object layer and of C++, in the text of the page.
exported_names_are_told() {
    grep -v -e '^_Z' -e '^pygc_' "$top_srcdir/test/symbols.expected" |
        while read -r name; do
            grep -q "\<$name\>" "$scratch/libpymalloc.3.text" || echo "$name"
        done >"$scratch/missing"
    is_empty "$scratch/missing"
}

# Structures and the constants, in the header's order.
types_are_the_headers() {
    sed -n '/^struct /,/^};/s/^ *[a-z0-9_]*_t \([a-z_]*\)\(\[[A-Z_]*\]\)*;.*/\1/p' "$header" \
        >"$scratch/members"
    sed -n '/ struct pymalloc_[a-z_]* {/,/^ *};/s/^ *[a-z0-9_]*_t \([a-z_]*\)\(\[[A-Z_]*\]\)*;.*/\1/p' \
        "$scratch/libpymalloc.3.text" >"$scratch/told"
    [ -s "$scratch/members" ] && quietly diff "$scratch/members" "$scratch/told"
}

constants_are_told() {
    sed -n -e 's/^#define \(PYMALLOC_[A-Z_]*\) .*/\1/p' \
        -e 's/^ *\(PYMALLOC_[A-Z_]*\) = .*/\1/p' "$header" | while read -r name; do
        grep -q "\<$name\>" "$scratch/libpymalloc.3.text" || echo "$name"
    done >"$scratch/missing"
    is_empty "$scratch/missing"
}

# ------------------------------------------------------------------ the options

# What PYMALLOC=help says, one option a line: name, default, least, most, when (start or
# anytime), meaning.  A text has "none", and its length.
help_of() { # library
    PYMALLOC=help LD_PRELOAD=$1 "$scratch/empty" 2>&1 |
        sed -n -e 's/ *(default \([^()]*\))$/|\1/' -e 's/^  \([a-z_]*\):[^ ]*  /\1|/p' |
        awk -F'|' '{
            when = sub(/, only at the start$/, "", $3) ? "start" : "anytime"
            if ($3 ~ /^none/) limits = "none 0 " ($3 ~ /at most/ ? $3 : "")
            else limits = $3
            gsub(/,| to| at most| bytes/, " ", limits)
            sub(/none 0 none/, "none 0", limits)
            split(limits, n, " ")
            print $1 "|" n[1] "|" n[2] "|" n[3] "|" when "|" $2
        }'
}

# Sizes are written with a suffix on the page.
matches() { # number: a pattern for the ways to write it
    case $1 in
    *[!0-9]*) echo "$1" && return ;;
    esac
    ways=$1
    rest=$1
    for suffix in k m g; do
        if [ "$rest" -eq 0 ] || [ $((rest % 1024)) -ne 0 ]; then break; fi
        rest=$((rest / 1024))
        ways="$ways|$rest$suffix"
    done
    echo "($ways)"
}

# The paragraph that an option should have, as a pattern over the flat text.
paragraph() { # name, default, least, most, when, meaning
    case $3-$4 in
    *-json) values='0\|1\|json' range="Default: $2\\." ;;
    0-1) values='0\|1' range="Default: $2\\." ;;
    *)
        values='[A-Z]*'
        range="Default: $(matches "$2"); from $(matches "$3") to $(matches "$4")\\."
        ;;
    esac
    [ "$2" != none ] || range="Default: none\\. At most $4 bytes\\."
    # The first letter is large on the page.
    meaning=$(printf '%s' "$6" | sed -e 's/^.//' -e 's/[][\.*^$+?(){}|]/\\&/g')
    printf ' %s:%s .%s\\. %s' "$1" "$values" "$meaning" "$range"
    [ "$5" = anytime ] || printf ' Only at the start\.'
}

# told LIBRARY: what it lists is on the page.  Leaves the names in $scratch/names.
told() {
    help_of "$1" >"$scratch/help"
    [ "$(wc -l <"$scratch/help")" -ge 10 ] || {
        echo "PYMALLOC=help gives no list" | note
        return 1
    }
    section OPTIONS <"$scratch/pymalloc-options.7.text" | flat >"$scratch/flat"
    while IFS='|' read -r name initial least most when meaning; do
        pattern=$(paragraph "$name" "$initial" "$least" "$most" "$when" "$meaning")
        grep -qE -- "$pattern" "$scratch/flat" || echo "not there: $pattern"
        echo "$name" >>"$scratch/names"
    done <"$scratch/help" >"$scratch/missing"
    is_empty "$scratch/missing"
}

# Those on the page are those that the two libraries list, by told.
no_other_options() {
    section OPTIONS <"$scratch/pymalloc-options.7.text" |
        sed -n 's/^       \([a-z_]*\):[^ ]*$/\1/p' | sort >"$scratch/on_page"
    sort -u "$scratch/names" | diff "$scratch/on_page" - >"$scratch/found"
    is_empty "$scratch/found"
}

# ----------------------------------------------------------------- the launcher

# The names of commands on the page, which are its subsections.
commands_told() {
    section COMMANDS <"$scratch/pymalloc.1.text" | sed -n 's/^   \([a-z]*\)$/\1/p' | sort
}

# What pymalloc --help names, in a list or behind the launcher's name, and what then has a
# help of its own.
commands_there() {
    "$launcher" --help >"$scratch/help"
    {
        sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' "$scratch/help"
        sed -n 's/.*\<pymalloc \([a-z][a-z]*\).*/\1/p' "$scratch/help"
    } | sort -u | while read -r name; do
        if "$launcher" "$name" --help >/dev/null 2>&1; then echo "$name"; fi
    done
}

commands_are_the_launchers() {
    commands_there >"$scratch/there"
    commands_told >"$scratch/told"
    grep -qx run "$scratch/there" && quietly diff "$scratch/there" "$scratch/told"
}

options_in() {
    grep -oE -- '(^|[][ |(,])--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u
}

# The options of a command's help, and those that its subsection has.
options_are_the_launchers() { # command
    "$launcher" "$1" --help | options_in >"$scratch/there"
    section COMMANDS <"$scratch/pymalloc.1.text" | section "   $1" | options_in \
        >"$scratch/told"
    [ -s "$scratch/there" ] && quietly diff "$scratch/there" "$scratch/told"
}

general_options_are_told() {
    for option in --help --version; do
        section OPTIONS <"$scratch/pymalloc.1.text" | grep -q -- "^ *$option" ||
            return 1
    done
}

variables_are_told() {
    grep -o 'PYMALLOC[A-Z_]*' "$top_srcdir/tools/pymalloc.in" | sort -u |
        while read -r name; do
            section ENVIRONMENT <"$scratch/pymalloc.1.text" | grep -q "^ *$name$" ||
                echo "$name"
        done >"$scratch/missing"
    is_empty "$scratch/missing"
}

# ------------------------------------------------------------------------ plan

echo 'int main(void) { return 0; }' >"$scratch/empty.c"
# shellcheck disable=SC2086 # a compiler may be several words
$CC -o "$scratch/empty" "$scratch/empty.c"
can_run=true
"$scratch/empty" 2>/dev/null || can_run=false

if_tool() { # tool, description, command...
    tool=$1
    shift
    if have "$tool"; then
        check "$@"
    else
        skip "$1" "$tool is not installed"
    fi
}

if_runs() { # description, command...
    if $can_run; then
        check "$@"
    else
        skip "$1" "programs of this host do not run here"
    fi
}

commands=$(commands_told)
# shellcheck disable=SC2086
set -- $pages $commands
plan $(($# + 3 * 4 + 10))
for page in $pages; do
    name=$(basename "$page")
    check "$name: groff has nothing to say" groff_is_content "$page"
    if_tool man "$name: man has nothing to say" man_is_content "$page"
    if_tool mandoc "$name: mandoc has nothing to say" mandoc_is_content "$page"
    check "$name: of this version" has_the_version "$page"
done
check "libpymalloc(3) has the header's prototypes" prototypes_are_the_headers
check "libpymalloc(3) has the header's structures" types_are_the_headers
check "libpymalloc(3) names the header's constants" constants_are_told
check "libpymalloc(3) names every exported function" exported_names_are_told
: >"$scratch/names"
if_runs "pymalloc-options(7) says what PYMALLOC=help says" told "$library"
if_runs "pymalloc-options(7) says what it says in the hardened library" \
    told "${library%.so}-hardened.so"
if_runs "pymalloc-options(7) has no other options" no_other_options
check "pymalloc(1) has the launcher's commands" commands_are_the_launchers
for command in $commands; do
    check "pymalloc(1) has the options of $command" options_are_the_launchers "$command"
done
check "pymalloc(1) has the general options" general_options_are_told
check "pymalloc(1) names the variables" variables_are_told
done_testing
