/* A write past the end of a block, over all of the next. */
#include "overflow.h"

static void misuse(size_t size)
{
    overflow(size, size);
}
