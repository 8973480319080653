/* free of an address of the kernel's. */
#include "abuse.h"

static void misuse(size_t size)
{
    (void)size;
    drop(about(hide((void *)UINT64_C(0xffff888000001000))));
}
