// A program that replaces the two basic operators, as the standard allows: all
// other forms must then go through its own.  Its blocks begin 32 bytes into
// what malloc gave, so that a form that does not would crash.
#include "support.h"

#include <new>

// Real programs leave the sized form out: that it then calls the basic one is
// what is tested.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#endif

namespace
{

int made, deleted;
enum { HEADER = 32 };

} // namespace

void *operator new(std::size_t n)
{
    made++;
    if (n > static_cast<std::size_t>(PTRDIFF_MAX)) {
        throw std::bad_alloc();
    }
    return static_cast<char *>(malloc(n + HEADER)) + HEADER;
}

void operator delete(void *p) noexcept
{
    deleted++;
    if (p) {
        free(static_cast<char *>(p) - HEADER);
    }
}

namespace
{

void expect_calls(const char *form, int times)
{
    CHECK_EQ(made, times, "%s: calls of the program's new", form);
    CHECK_EQ(deleted, times, "%s: calls of the program's delete", form);
    made = deleted = 0;
}

void sized_delete()
{
    ::operator delete (opaque(::operator new(100)), std::size_t{100});
    expect_calls("delete(p, n)", 1);
}

void array_forms()
{
    ::operator delete[](opaque(::operator new[](100)));
    expect_calls("new[], delete[]", 1);
    ::operator delete[](opaque(::operator new[](100)), std::size_t{100});
    expect_calls("new[], delete[](p, n)", 1);
}

void nothrow_forms()
{
    ::operator delete(opaque(::operator new(100, std::nothrow)), std::nothrow);
    expect_calls("nothrow", 1);
    ::operator delete[](opaque(::operator new[](100, std::nothrow)), std::nothrow);
    expect_calls("nothrow array", 1);
    CHECK(!::operator new(opaque_size(SIZE_MAX), std::nothrow),
          "the program's new throws, nothrow new does not");
    made = deleted = 0;
}

const struct tap_case cases[] = {
    {"a sized delete calls the program's delete", sized_delete},
    {"array forms call the program's operators", array_forms},
    {"nothrow forms call the program's operators", nothrow_forms},
};

} // namespace

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
