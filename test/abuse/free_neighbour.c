/* free of memory of the allocator that was never handed out. */
#include "abuse.h"

enum { POOL = 16384, FAR = 15 * 1024 };

static void misuse(size_t size)
{
    uintptr_t block = (uintptr_t)get(size);
    char *neighbour = hide((void *)((block & ~(uintptr_t)(POOL - 1)) + FAR));
    drop(about(neighbour));
}
