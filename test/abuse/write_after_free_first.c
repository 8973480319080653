/* A write to the first bytes of a freed block. */
#include "overflow.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    drop(block);
    spoil(hide(block) + 0, 4);
}
