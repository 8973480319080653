/* The same block freed twice in a row. */
#include "abuse.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    drop(block);
    drop(block);
}
