/* free of the address behind a block of no bytes. */
#include "abuse.h"

static void misuse(size_t size)
{
    volatile size_t none = 0;
    (void)size;
    drop(about(hide(malloc(none)) + 1));
}
