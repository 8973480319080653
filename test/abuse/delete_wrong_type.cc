// delete through a pointer to a base class without a virtual destructor: the compiler
// passes the size of what it takes the object to be.
#include "abuse.h"

struct base {
    char part[16];
};

struct whole : base {
    char rest[64];
};

static void misuse(size_t size)
{
    (void)size;
    delete reinterpret_cast<base *>(about(hide(new whole())));
}
