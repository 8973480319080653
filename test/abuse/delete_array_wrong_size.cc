// operator delete[] with another size than operator new[] was given.
#include "abuse.h"

#include <new>

static void misuse(size_t size)
{
    ::operator delete[](about(hide(::operator new[](size))), size - 8);
}
