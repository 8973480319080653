#!/bin/sh
# pymalloc profile: reading raw profiles, names, and everything that it writes
# (profile_tool_test.py).
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"
unset PYMALLOC_LIBRARY || true
export CC scratch top_builddir top_srcdir

python=${PYTHON:-python3}
case $python in
:) plan_skip "python3 is not installed" ;;
esac
have python3 || plan_skip "python3 is not in PATH"

exec_status=0
"$python" -B "$top_srcdir/test/profile_tool_test.py" || exec_status=$?
exit "$exec_status"
