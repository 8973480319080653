/* malloc_usable_size of a freed block: a size would invite to use it. */
#include "abuse.h"

#include <malloc.h>

static void misuse(size_t size)
{
    char *block = about(get(size));
    drop(block);
    word = malloc_usable_size(hide(block)) == 0 ? "told 0" : "told a size";
}
