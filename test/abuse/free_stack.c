/* free of a variable of a function. */
#include "abuse.h"

static void misuse(size_t size)
{
    enum { MOST = 1 << 18 };
    __attribute__((aligned(64))) char variable[MOST];
    memset(variable, 0, sizeof(variable));
    forbid(variable, size);
    drop(about(hide(variable) + 64));
}
