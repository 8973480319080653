/* A block of no bytes freed twice. */
#include "abuse.h"

static void misuse(size_t size)
{
    volatile size_t none = 0;
    char *block = about(hide(malloc(none)));
    (void)size;
    drop(block);
    drop(block);
}
