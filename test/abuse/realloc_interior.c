/* realloc of a pointer into the middle of a block. */
#include "abuse.h"

static void misuse(size_t size)
{
    char *inside = about(get(size) + 16);
    drop(realloc(hide(inside), 2 * size));
}
