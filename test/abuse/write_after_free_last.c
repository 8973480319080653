/* A write to the last bytes of a freed block. */
#include "overflow.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    drop(block);
    spoil(hide(block) + size - 4, 4);
}
