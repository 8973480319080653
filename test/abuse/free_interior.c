/* free of a pointer into the middle of a block. */
#include "abuse.h"

static void misuse(size_t size)
{
    char *inside = about(get(size) + 16);
    forbid(inside - 16, size);
    drop(inside);
}
