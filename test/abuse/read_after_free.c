/* A read of a freed block: what was in it must be gone. */
#include "secret.h"

static void misuse(size_t size)
{
    size |= 8; /* to the end, also where it is filled by steps of 16 bytes */
    char *block = get_secret(size);
    drop(block);
    word = describe(hide(block), size);
}
