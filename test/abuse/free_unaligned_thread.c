/* free, by another thread, of an address where no block can begin. */
#include "abuse.h"

static void *wrong(void *inside)
{
    drop(inside);
    return NULL;
}

static void misuse(size_t size)
{
    char *inside = about(get(size) + 4);
    elsewhere(wrong, inside);
}
