// A C++ library that a C program loads late: life_plugin.
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

extern "C" int plugin_uses_the_heap();
extern "C" int plugin_catches_bad_alloc();
extern "C" int plugin_calls_the_handler();
extern "C" int plugin_nothrow_is_null();

namespace
{

volatile std::size_t impossible = PTRDIFF_MAX;
int calls;

void handler()
{
    if (++calls == 2) {
        std::set_new_handler(nullptr);
    }
}

} // namespace

int plugin_uses_the_heap()
{
    std::vector<std::string> texts;
    for (int i = 0; i < 1000; i++) {
        texts.emplace_back(static_cast<std::size_t>(i), 'x');
    }
    return texts.size() == 1000;
}

int plugin_catches_bad_alloc()
{
    int caught = 0;
    for (int i = 0; i < 4; i++) {
        auto align = static_cast<std::align_val_t>(64);
        try {
            void *p = i == 0   ? ::operator new(impossible)
                      : i == 1 ? ::operator new[](impossible)
                      : i == 2 ? ::operator new(impossible, align)
                               : ::operator new[](impossible, align);
            free(p);
        } catch (const std::bad_alloc &) {
            caught++;
        }
    }
    return caught == 4;
}

int plugin_calls_the_handler()
{
    calls = 0;
    std::set_new_handler(handler);
    try {
        ::operator delete(::operator new(impossible));
    } catch (const std::bad_alloc &) {
        return calls == 2;
    }
    return 0;
}

int plugin_nothrow_is_null()
{
    return ::operator new(impossible, std::nothrow) == nullptr;
}
