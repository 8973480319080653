/* realloc of a freed block. */
#include "abuse.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    drop(block);
    drop(realloc(hide(block), 2 * size));
}
