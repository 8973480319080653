/* free of an address where no block can begin. */
#include "abuse.h"

static void misuse(size_t size)
{
    char *inside = about(get(size) + 1);
    forbid(inside - 1, size);
    drop(inside);
}
