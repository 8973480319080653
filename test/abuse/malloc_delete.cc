// operator delete of memory from malloc.
#include "abuse.h"

#include <new>

static void misuse(size_t size)
{
    ::operator delete(about(get(size)));
}
