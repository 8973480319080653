# python-regrtest: Debian's regression tests of CPython, on malloc; the same ones fail.
# limit: 900 s
. "$PROGRAMS/common.sh"
needs python3
python3 -c 'import test.regrtest' 2>/dev/null ||
    skip "the tests of CPython (libpython3-testsuite) are not installed"

available=
for name in capi sqlite3 gc threading multiprocessing_fork json re decimal dict list unicode \
    bytes ctypes thread fork1 pickle set sort string struct weakref memoryview array \
    generators coroutines descr compile ast zlib; do
    if python3 -c "import importlib.util, sys
sys.exit(importlib.util.find_spec('test.test_$name') is None)"; then
        available="$available test_$name"
    else
        note "Debian does not ship test_$name"
    fi
done

# Every test module gets a process of its own, so that a crash spares the others.
# Many tests look at the standard error of a child.
# shellcheck disable=SC2086 # $available is a list
PYMALLOC='' PYTHONMALLOC=malloc subject python3 -m test -j2 --timeout 300 --junit-xml "$WORK/results.xml" \
    $available >regrtest.log 2>&1 || true
python3 "$INPUTS/junit_failures.py" results.xml regrtest.log
