/* Two blocks freed in turn: a, b, a. */
#include "abuse.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    char *other = get(size);
    drop(block);
    drop(other);
    drop(block);
}
