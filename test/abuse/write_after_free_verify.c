/* A write to a freed block, which pymalloc_verify() finds. */
#include "overflow.h"
#include "verify.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    drop(block);
    spoil(hide(block) + 16, 4);
    word = verify();
    spoil(hide(block) + 16, 4); /* as it was */
}
