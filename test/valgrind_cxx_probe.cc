// All forms of operator new and delete, and containers, for valgrind.sh.
#include "support.h"

#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace
{

void containers()
{
    std::map<int, std::vector<std::string>> m;
    for (int i = 0; i < 300; i++) {
        m[i % 50].emplace_back(static_cast<std::size_t>(i), 'x');
    }
    CHECK_EQ(m.size(), 50, "entries");
}

void forms()
{
    for (std::size_t n = 0; n < 2000; n += 97) {
        auto align = static_cast<std::align_val_t>(128);
        ::operator delete(opaque(::operator new(n)));
        ::operator delete(opaque(::operator new(n)), n);
        ::operator delete[](opaque(::operator new[](n)));
        ::operator delete[](opaque(::operator new[](n)), n);
        ::operator delete(opaque(::operator new(n, std::nothrow)), std::nothrow);
        ::operator delete[](opaque(::operator new[](n, std::nothrow)), std::nothrow);
        ::operator delete(opaque(::operator new(n, align)), align);
        ::operator delete(opaque(::operator new(n, align)), n, align);
        ::operator delete[](opaque(::operator new[](n, align)), align);
        ::operator delete[](opaque(::operator new[](n, align)), n, align);
        ::operator delete(opaque(::operator new(n, align, std::nothrow)), align,
                          std::nothrow);
        ::operator delete[](opaque(::operator new[](n, align, std::nothrow)), align,
                            std::nothrow);
    }
}

void threads()
{
    std::thread a(containers), b(forms);
    a.join();
    b.join();
}

const struct tap_case cases[] = {
    {"containers", containers},
    {"all forms of new and delete", forms},
    {"threads", threads},
};

} // namespace

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
