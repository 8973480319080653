// operator delete of a pointer into an object.
#include "abuse.h"

#include <new>

static void misuse(size_t size)
{
    ::operator delete(about(hide(::operator new(size)) + 16));
}
