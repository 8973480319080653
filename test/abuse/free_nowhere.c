/* free of an address that nothing is at. */
#include "abuse.h"

static void misuse(size_t size)
{
    (void)size;
    drop(about(hide((void *)UINT64_C(0x123456781000))));
}
