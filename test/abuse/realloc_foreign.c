/* realloc of a global variable. */
#include "abuse.h"

static char variable[1 << 18] __attribute__((aligned(64)));

static void misuse(size_t size)
{
    forbid(variable, size);
    drop(realloc(about(hide(variable) + 64), 2 * size));
}
