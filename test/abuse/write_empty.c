/* A write into a block of no bytes. */
#include "abuse.h"

static void misuse(size_t size)
{
    volatile size_t none = 0;
    char *block = hide(malloc(none));
    (void)size;
    *block = 1;
    drop(block);
}
