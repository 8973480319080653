#!/bin/sh
# The launcher: that it runs programs on the library, and that it refuses, with
# a reason and before anything of the program runs, where the library would not
# take over.  Speaks TAP.
set -eu
export LC_ALL=C
unset PYMALLOC LD_PRELOAD || true

top_builddir=${top_builddir:-.}
CC=${CC:-cc}
built=$top_builddir/tools/pymalloc

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Other users run things in there.
chmod 755 "$work"
cd "$work"

number=0
ok() { number=$((number + 1)) && echo "ok $number - $1"; }
skip() { number=$((number + 1)) && echo "ok $number - $1 # SKIP $2"; }
not_ok() {
    number=$((number + 1))
    { echo "status $status" && sed 's/^/out: /' out && sed 's/^/err: /' err; } | sed 's/^/# /'
    echo "not ok $number - $1"
}

run() { # command...
    status=0
    "$@" >out 2>err || status=$?
}

# The command ends with the status and its output is the text.
prints() { # description, status, text, command...
    description=$1 wanted=$2 text=$3
    shift 3
    run "$@"
    if [ "$status" -eq "$wanted" ] && [ "$(cat out)" = "$text" ]; then
        ok "$description"
    else
        echo "# wanted status $wanted: $text"
        not_ok "$description"
    fi
}

# The command prints one line, to standard error, from the launcher, with the
# text in it, and ends with the status.
refuses() { # description, status, text, command...
    description=$1 wanted=$2 text=$3
    shift 3
    run "$@"
    if [ "$status" -eq "$wanted" ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] &&
        grep -q '^pymalloc: ' err && grep -qF -- "$text" err; then
        ok "$description"
    else
        echo "# wanted status $wanted and: $text"
        not_ok "$description"
    fi
}

# ------------------------------------------------------------ programs to launch

cat >probe.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints whether a block of malloc is libpymalloc's, and then the arguments. */
int main(int argc, char **argv)
{
    int (*owns)(const void *) = (int (*)(const void *))dlsym(RTLD_DEFAULT, "pymalloc_owns");
    void *volatile block = malloc(100);
    printf("%s", owns == NULL ? "absent" : owns(block) ? "owned" : "not owned");
    for (int i = 1; i < argc; i++) {
        printf(" [%s]", argv[i]);
    }
    printf("\n");
    free(block);
    return 0;
}
END
cat >address.c <<'END'
#include <stdio.h>
#include <stdlib.h>
void *(*const function)(size_t) = malloc;
int main(void)
{
    printf("%d\n", function != NULL);
    return 0;
}
END
cat >ownmalloc.c <<'END'
#include <stddef.h>
#include <stdio.h>
static _Alignas(16) char space[1 << 20];
static size_t used;
void *malloc(size_t size)
{
    size_t at = used;
    used += (size + 15) & ~(size_t)15;
    return used <= sizeof(space) ? space + at : NULL;
}
void free(void *block)
{
    (void)block;
}
__attribute__((constructor)) static void leave_a_trace(void)
{
    FILE *file = fopen("trace", "w");
    if (file != NULL) {
        fclose(file);
    }
}
int main(void)
{
    return malloc(10) == NULL;
}
END
printf 'int nothing;\n' >nothing.c
$CC probe.c -o probe -ldl
if ! ./probe >/dev/null 2>&1; then
    echo "1..0 # SKIP programs of this host do not run here"
    exit 0
fi

echo 1..60

library=${PYMALLOC_LIBRARY:-$top_builddir/lib/.libs/libpymalloc.so}
cp "$library" libpymalloc-copy.so
cp "$built" pymalloc
chmod 755 pymalloc libpymalloc-copy.so

# ----------------------------------------------------------------- its own words

run "$built" --help
[ "$status" -eq 0 ] && grep -q '^Usage: pymalloc run' out && ok "--help" || not_ok "--help"
run "$built" --version
[ "$status" -eq 0 ] && grep -q '^pymalloc (libpymalloc) [0-9]*\.[0-9]*\.[0-9]*$' out &&
    ok "--version" || not_ok "--version"
run "$built" run --help
[ "$status" -eq 0 ] && grep -q -e '--stats' out && ok "run --help" || not_ok "run --help"
run "$built"
[ "$status" -eq 125 ] && grep -q '^Usage: ' err && ok "no command" || not_ok "no command"
refuses "an unknown command" 125 "unknown command walk" "$built" walk
refuses "an unknown option" 125 "unknown option --fast" "$built" run --fast -- ./probe
refuses "no program" 125 "no program given" "$built" run --stats --
refuses "--option without its value" 125 "--option needs" "$built" run --option
refuses "two options in one" 125 "one NAME:VALUE" "$built" run --option a:1,b:2 -- ./probe

# ------------------------------------------------------------------- it runs them

prints "a program's malloc is taken over" 0 "owned" "$built" run -- ./probe
prints "the -- may be left out" 0 "owned [-- x]" "$built" run ./probe "-- x"
prints "arguments arrive as they are" 0 "owned [a b] [] [*] [\$HOME] [--stats]" \
    "$built" run -- ./probe "a b" "" "*" "\$HOME" --stats
run "$built" run -- cat /proc/self/maps
[ "$status" -eq 0 ] && grep -q 'libpymalloc\.so' out &&
    ok "a program from PATH has the library mapped" ||
    not_ok "a program from PATH has the library mapped"
run "$built" run --hardened -- cat /proc/self/maps
[ "$status" -eq 0 ] && grep -q 'libpymalloc-hardened\.so' out && ! grep -q 'libpymalloc\.so' out &&
    ok "--hardened is the other library" ||
    not_ok "--hardened is the other library"
prints "the exit status is the program's" 42 "" "$built" run -- sh -c 'exit 42'
prints "death by a signal is the program's" 143 "" \
    sh -c '"$1" run -- sh -c "kill -TERM \$\$"; exit $?' sh "$built"
prints "no option, no PYMALLOC" 0 "unset" "$built" run -- sh -c 'echo "${PYMALLOC-unset}"'
prints "--option sets PYMALLOC" 0 "cache:0,decay:9" \
    "$built" run --option cache:0 --option=decay:9 -- sh -c 'echo "$PYMALLOC"'
prints "--option joins what PYMALLOC has, and comes last" 0 "decay:7,decay:8" \
    env PYMALLOC=decay:7 "$built" run --option decay:8 -- sh -c 'echo "$PYMALLOC"'
run "$built" run --stats -- ./probe
[ "$status" -eq 0 ] && [ "$(cat out)" = owned ] && grep -q libpymalloc err &&
    ok "--stats prints the library's report" || not_ok "--stats prints the library's report"
run "$built" run --quiet -- ./probe
[ "$status" -eq 0 ] && [ ! -s err ] && ok "--quiet is quiet" || not_ok "--quiet is quiet"

$CC -shared -fPIC nothing.c -o libnothing.so
run env LD_PRELOAD="$work/libnothing.so" "$built" run -- sh -c 'echo "$LD_PRELOAD"'
[ "$status" -eq 0 ] && grep -q "libpymalloc[^:]*:$work/libnothing\.so\$" out &&
    ok "an LD_PRELOAD stays, behind the library" ||
    not_ok "an LD_PRELOAD stays, behind the library"
run env LD_PRELOAD="$library" PYMALLOC=stats:1 "$built" run -- ./probe
[ "$status" -eq 0 ] && [ "$(grep -c '^libpymalloc [0-9.]*: report' err)" -eq 1 ] &&
    ok "what the caller has set is not for the launcher's helpers" ||
    not_ok "what the caller has set is not for the launcher's helpers"
prints "PYMALLOC_LIBRARY names another library" 0 "owned" \
    env PYMALLOC_LIBRARY="$work/libpymalloc-copy.so" ./pymalloc run -- ./probe
ln -s "$built" link
prints "the launcher works through a link" 0 "owned" ./link run -- ./probe

# A non-PIE program that takes malloc's address has an entry for it of its own,
# which everybody binds to, and which leads on to the library.
$CC -fno-pie -no-pie address.c -o address
prints "a non-PIE program that takes malloc's address" 0 "1" "$built" run -- ./address

printf '#!/bin/sh\nexec ./probe script "$@"\n' >script
printf '#!%s/probe word\n' "$work" >other-script
printf '#!/usr/bin/env -S A=1 %s/probe word\n' "$work" >env-script
printf '#!/usr/bin/env -S-u A %s/probe word\n' "$work" >options-script
chmod +x script other-script env-script options-script
prints "a shell script" 0 "owned [script] [1]" "$built" run -- ./script 1
prints "a script of another interpreter" 0 "owned [word] [./other-script]" \
    "$built" run -- ./other-script
prints "a script by way of env" 0 "owned [word] [./env-script]" "$built" run -- ./env-script
prints "a script by way of env and its options" 0 "owned [word] [./options-script]" \
    "$built" run -- ./options-script

# --------------------------------------------------------------- it refuses to run

refuses "a name that is not in PATH" 127 "no-such-program: not found" \
    "$built" run -- no-such-program
refuses "a file that does not exist" 127 "./no-such-file: not found" \
    "$built" run -- ./no-such-file
refuses "a file that is not executable" 126 "not an executable file" \
    "$built" run -- ./probe.c
refuses "a folder" 126 "not an executable file" "$built" run -- "$work"

printf 'some text\n' >text
chmod +x text
refuses "neither a program nor a script" 125 "neither an ELF program nor a script" \
    "$built" run -- ./text
printf '#!/no/such/interpreter\n' >lost
chmod +x lost
refuses "a script without its interpreter" 125 "/no/such/interpreter" "$built" run -- ./lost

for kind in -static -static-pie; do
    if $CC $kind nothing.c address.c -o fixed$kind 2>/dev/null; then
        refuses "a program linked with $kind" 125 "is statically linked" \
            "$built" run -- ./fixed$kind
    else
        skip "a program linked with $kind" "the compiler cannot link so"
    fi
done
if [ -e fixed-static ]; then
    printf '#!%s/fixed-static\n' "$work" >static-script
    chmod +x static-script
    refuses "a script with a static interpreter" 125 "fixed-static is statically linked" \
        "$built" run -- ./static-script
    printf '#!/usr/bin/env %s/fixed-static\n' "$work" >static-script
    refuses "the same by way of env" 125 "fixed-static is statically linked" \
        "$built" run -- ./static-script
else
    skip "a script with a static interpreter" "the compiler cannot link so"
    skip "the same by way of env" "the compiler cannot link so"
fi

# The header says who can run a program: its machine in bytes 18 and 19, its
# class in byte 4.
patched() { # file, offset, bytes in printf's notation
    cp probe "$1"
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
patched foreign 18 '\363\000'
refuses "a program for another machine" 125 "is for riscv64, but" "$built" run -- ./foreign
patched narrow 4 '\001'
refuses "a 32-bit program" 125 "is for a 32-bit machine, but" "$built" run -- ./narrow

$CC probe.c -o musl -ldl -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1
refuses "a program linked with musl" 125 "is linked with musl" "$built" run -- ./musl
$CC probe.c -o strange -ldl -Wl,--dynamic-linker=/lib/strange.so
refuses "a program with an unknown loader" 125 "unknown loader, /lib/strange.so" \
    "$built" run -- ./strange

# A loader that the program brings is not for check to start.
loaded_by() { # program, loader
    $CC probe.c -o "$1" -ldl -Wl,--dynamic-linker="$work/$2"
}
printf '#!/bin/sh\nexit 1\n' >ld-linux-own.so.2
chmod +x ld-linux-own.so.2
loaded_by own-loader ld-linux-own.so.2
refuses "a program with a loader of its own" 125 "ld-linux-own.so.2 is not one of the system's" \
    "$built" internal-check libpymalloc ./own-loader
ln -s "$(command -v env)" ld-linux-env.so.2
loaded_by env-loader ld-linux-env.so.2
refuses "a program whose loader is a link to another program" 125 "is not one of the system's" \
    "$built" internal-check libpymalloc ./env-loader
real=$(ldd ./probe | sed -n 's|^[[:space:]]*\(/[^ ]*/ld[^ /]*\) (.*|\1|p')
if [ -n "$real" ]; then
    ln -s "$real" ld-linux-link.so.2
    loaded_by link-loader ld-linux-link.so.2
    prints "a program whose loader is a link to the system's" 0 "yes" sh -c \
        '"$1" internal-check libpymalloc ./link-loader >/dev/null && echo yes' sh "$built"
    cp "$real" ld-linux-copy.so.2
    loaded_by copy-loader ld-linux-copy.so.2
    prints "a program whose loader is the system's elsewhere runs" 0 "owned" \
        "$built" run -- ./copy-loader
else
    skip "a program whose loader is a link to the system's" "its place is unknown"
    skip "a program whose loader is the system's elsewhere runs" "its place is unknown"
fi

$CC -fno-builtin -rdynamic ownmalloc.c -o ownmalloc
refuses "a program with a malloc of its own" 125 "malloc comes from" "$built" run -- ./ownmalloc
if [ -e trace ]; then
    status=0 && : >out && : >err
    not_ok "nothing of a refused program has run"
else
    ok "nothing of a refused program has run"
fi

refuses "a library that is not there" 125 "cannot be read" \
    env PYMALLOC_LIBRARY="$work/no.so" "$built" run -- ./probe
refuses "a library that is none" 125 "not an ELF library" \
    env PYMALLOC_LIBRARY="$work/probe.c" "$built" run -- ./probe
refuses "two libraries" 125 "both say which library" \
    env PYMALLOC_LIBRARY="$work/libpymalloc-copy.so" "$built" run --hardened -- ./probe
refuses "a library without a malloc" 125 "malloc comes from" \
    env PYMALLOC_LIBRARY="$work/libnothing.so" "$built" run -- ./probe
mkdir "with space"
cp libpymalloc-copy.so "with space/"
refuses "a library that LD_PRELOAD cannot name" 125 "cannot hold a name" \
    env PYMALLOC_LIBRARY="$work/with space/libpymalloc-copy.so" "$built" run -- ./probe

# More rights than the caller's: the loader would drop the preload.
as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups \
        env PYMALLOC_LIBRARY="$work/libpymalloc-copy.so" ./pymalloc run -- "$@"
}
if [ "$(id -u)" -ne 0 ] || ! setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null; then
    skip "a setuid program of another user" "needs root"
    skip "a setgid program of another group" "needs root"
    skip "a link of one's own to a setuid program" "needs root"
    skip "a link of one's own to a setgid program" "needs root"
    skip "a program with file capabilities" "needs root"
else
    cp probe setuid && chmod 4755 setuid
    cp probe setgid && chmod 2755 setgid
    refuses "a setuid program of another user" 125 "is setuid" as_nobody ./setuid
    refuses "a setgid program of another group" 125 "is setgid" as_nobody ./setgid
    ln -s setuid own-setuid && ln -s setgid own-setgid
    chown -h 65534:65534 own-setuid own-setgid
    refuses "a link of one's own to a setuid program" 125 "is setuid" as_nobody ./own-setuid
    refuses "a link of one's own to a setgid program" 125 "is setgid" as_nobody ./own-setgid
    cp probe capable
    if setcap cap_net_raw+ep capable 2>/dev/null; then
        refuses "a program with file capabilities" 125 "file capabilities" \
            as_nobody ./capable
    else
        skip "a program with file capabilities" "setcap does not work here"
    fi
fi
