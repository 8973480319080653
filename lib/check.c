#include "check.h"

#include "os.h"
#include "print.h"

#include <stdlib.h>
#include <unistd.h>

_Noreturn void pym_check_broken(const char *condition, const char *file, int line)
{
    pym_print(STDERR_FILENO,
              "pymalloc: broken invariant: %s (%s:%d); this is a bug in libpymalloc, "
              "or the program has overwritten its memory\n",
              condition, file, line);
    abort();
}

void pym_check_describe(const char *what, const void *block, size_t size)
{
    pym_print(
        STDERR_FILENO,
        "pymalloc: %s: block %p, size class %zu, thread %d; run the program under "
        "valgrind or a sanitizer to find where\n",
        what, block, size, pym_os_thread_id());
}

_Noreturn void pym_check_misuse(const char *what, const void *block, size_t size)
{
    pym_check_describe(what, block, size);
    abort();
}

void pym_check_warn(const char *what, const char *detail)
{
    pym_print(STDERR_FILENO, "pymalloc: warning: %s: %s\n", what, detail);
}
