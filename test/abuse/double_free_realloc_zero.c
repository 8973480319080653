/* realloc to no bytes frees the block; then it is freed again. */
#include "abuse.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    volatile size_t none = 0;
    drop(realloc(hide(block), none));
    drop(block);
}
