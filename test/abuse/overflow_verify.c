/* A write past the end of a live block, which pymalloc_verify() finds. */
#include "overflow.h"
#include "verify.h"

static void misuse(size_t size)
{
    char *block = about(lowest(size));
    spoil(block + size, 1);
    word = verify();
    spoil(block + size, 1); /* as it was */
}
