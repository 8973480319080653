// The same object deleted twice.
#include "abuse.h"

#include <new>

static void misuse(size_t size)
{
    char *block = about(hide(::operator new(size)));
    ::operator delete(hide(block));
    ::operator delete(hide(block));
}
