/* A write of 64 bytes past the end of a block. */
#include "overflow.h"

static void misuse(size_t size)
{
    overflow(size, 64);
}
