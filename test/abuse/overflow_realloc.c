/* A write past the end of a block that is then given another size. */
#include "overflow.h"

static void misuse(size_t size)
{
    char *block = about(lowest(size));
    spoil(block + size, 1);
    drop(realloc(block, 3 * size));
}
