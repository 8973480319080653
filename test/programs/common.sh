# Sourced by every program's script.  `run` gives a script an empty directory to
# work in and compares what it prints; see README.md.
set -eu

INPUTS=$PROGRAMS/inputs
WORK=$PWD
: "${top_srcdir:=$PROGRAMS/../..}" "${top_builddir:=$top_srcdir}"

# note TEXT...: a comment for the report.
note() {
    printf '%s\n' "$*" >>"$NOTES"
}

# skip REASON...: ends the script; the program is reported as skipped.
skip() {
    note "$@"
    exit 77
}

# needs COMMAND...: skips the program unless all commands are there.
needs() {
    for _command; do
        command -v "$_command" >/dev/null || skip "$_command is not installed"
    done
}

# digest FILE...: prints a checksum and the name of every file.
digest() {
    sha256sum "$@"
}

# digest_of COMMAND...: prints a checksum of what the command prints.  A pipeline
# would hide the command's status.
digest_of() {
    "$@" >"$WORK/digest_of"
    sha256sum <"$WORK/digest_of"
    rm "$WORK/digest_of"
}

# await COMMAND...: runs the command until it succeeds, for 30 seconds at most.
await() {
    _tries=600
    until "$@" >/dev/null 2>&1; do
        _tries=$((_tries - 1))
        if [ "$_tries" -eq 0 ]; then
            echo "gave up waiting for: $*" >&2
            return 1
        fi
        sleep 0.05
    done
}

# stop PID [SIGNAL]: ends a server of this script; its status must be 0.
stop() {
    kill -"${2:-TERM}" "$1"
    wait "$1"
}
