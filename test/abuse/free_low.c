/* free of a small number. */
#include "abuse.h"

static void misuse(size_t size)
{
    (void)size;
    drop(about(hide((void *)(uintptr_t)0x10)));
}
