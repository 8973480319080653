/* A write of 1 byte past the end of a block. */
#include "overflow.h"

static void misuse(size_t size)
{
    overflow(size, 1);
}
