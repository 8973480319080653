/* A write to bytes in the middle of a freed block. */
#include "overflow.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    drop(block);
    spoil(hide(block) + size / 2, 4);
}
