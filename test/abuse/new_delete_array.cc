// operator delete[] of memory from operator new.
#include "abuse.h"

#include <new>

static void misuse(size_t size)
{
    ::operator delete[](about(hide(::operator new(size))));
}
