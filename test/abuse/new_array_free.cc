// free of memory from operator new[].
#include "abuse.h"

#include <new>

static void misuse(size_t size)
{
    drop(about(hide(::operator new[](size))));
}
