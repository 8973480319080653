// Every form of operator new and delete, and how they fail.
#include "support.h"

#include <malloc.h>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace
{

const std::size_t too_large = opaque_size(PTRDIFF_MAX) + 1;
const std::size_t sizes[] = {0,   1,   8,   16,   17,   32,    100,    256,
                             500, 512, 513, 1000, 4096, 33000, 200000, 1 << 20};

std::uint64_t live_blocks()
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.small_live + s.large_allocs - s.large_frees;
}

void check_block(const char *form, void *p, std::size_t n, std::size_t alignment)
{
    CHECK(p && reinterpret_cast<std::uintptr_t>(p) % alignment == 0,
          "%s of %zu gave %p", form, n, p);
    CHECK(malloc_usable_size(p) >= n, "%s of %zu has %zu bytes", form, n,
          malloc_usable_size(p));
    CHECK(pymalloc_owns(p) || n > SMALL_MAX || alignment > SMALL_MAX,
          "%s of %zu is not ours", form, n);
    pattern_fill(p, malloc_usable_size(p), n);
}

void plain_forms()
{
    std::uint64_t before = live_blocks();
    for (std::size_t n : sizes) {
        void *p[8];
        for (int i = 0; i < 8; i += 4) {
            p[i] = opaque(::operator new(n));
            p[i + 1] = opaque(::operator new[](n));
            p[i + 2] = opaque(::operator new(n, std::nothrow));
            p[i + 3] = opaque(::operator new[](n, std::nothrow));
        }
        for (int i = 0; i < 8; i++) {
            check_block("new", p[i], n, ALIGNMENT);
        }
        ::operator delete(p[0]);
        ::operator delete[](p[1]);
        ::operator delete(p[2], std::nothrow);
        ::operator delete[](p[3], std::nothrow);
        ::operator delete(p[4], n);
        ::operator delete[](p[5], n);
        ::operator delete(p[6]);
        ::operator delete[](p[7]);
    }
    CHECK_EQ(live_blocks(), before, "blocks left");
}

void aligned_forms()
{
    std::uint64_t before = live_blocks();
    for (std::size_t a = 1; a <= 1 << 20; a *= 2) {
        for (std::size_t n : sizes) {
            auto align = static_cast<std::align_val_t>(a);
            void *p[8];
            for (int i = 0; i < 8; i += 4) {
                p[i] = opaque(::operator new(n, align));
                p[i + 1] = opaque(::operator new[](n, align));
                p[i + 2] = opaque(::operator new(n, align, std::nothrow));
                p[i + 3] = opaque(::operator new[](n, align, std::nothrow));
            }
            for (int i = 0; i < 8; i++) {
                check_block("aligned new", p[i], n, a);
            }
            ::operator delete(p[0], align);
            ::operator delete[](p[1], align);
            ::operator delete(p[2], align, std::nothrow);
            ::operator delete[](p[3], align, std::nothrow);
            ::operator delete(p[4], n, align);
            ::operator delete[](p[5], n, align);
            ::operator delete(p[6], align);
            ::operator delete[](p[7], align);
        }
    }
    CHECK_EQ(live_blocks(), before, "blocks left");
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

void delete_of_null()
{
    auto align = static_cast<std::align_val_t>(64);
    errno = 77;
    ::operator delete(opaque(nullptr));
    ::operator delete[](opaque(nullptr));
    ::operator delete(opaque(nullptr), std::nothrow);
    ::operator delete[](opaque(nullptr), std::nothrow);
    ::operator delete (opaque(nullptr), std::size_t{100});
    ::operator delete[](opaque(nullptr), std::size_t{100});
    ::operator delete(opaque(nullptr), align);
    ::operator delete[](opaque(nullptr), align);
    ::operator delete(opaque(nullptr), align, std::nothrow);
    ::operator delete[](opaque(nullptr), align, std::nothrow);
    ::operator delete (opaque(nullptr), std::size_t{100}, align);
    ::operator delete[](opaque(nullptr), std::size_t{100}, align);
    CHECK_EQ(errno, 77, "after deleting null");
}

// --------------------------------------------------------------- failure

// What call() throws: 'b' for bad_alloc, 'r' for runtime_error, 0 for nothing.
template <class Call> int thrown_by(Call call)
{
    try {
        opaque(call());
    } catch (const std::bad_alloc &) {
        return 'b';
    } catch (const std::runtime_error &) {
        return 'r';
    }
    return 0;
}

void impossible_sizes_throw()
{
    auto align = static_cast<std::align_val_t>(64);
    for (std::size_t n : {too_large, SIZE_MAX - 4096, SIZE_MAX - 15, SIZE_MAX}) {
        CHECK_EQ(thrown_by([=] { return ::operator new(n); }), 'b', "new of %zu", n);
        CHECK_EQ(thrown_by([=] { return ::operator new[](n); }), 'b', "new[] of %zu",
                 n);
        CHECK_EQ(thrown_by([=] { return ::operator new(n, align); }), 'b',
                 "aligned new of %zu", n);
        CHECK_EQ(thrown_by([=] { return ::operator new[](n, align); }), 'b',
                 "aligned new[] of %zu", n);
        CHECK(!::operator new(n, std::nothrow), "nothrow new of %zu", n);
        CHECK(!::operator new[](n, std::nothrow), "nothrow new[] of %zu", n);
        CHECK(!::operator new(n, align, std::nothrow), "aligned nothrow new of %zu", n);
        CHECK(!::operator new[](n, align, std::nothrow), "aligned nothrow new[] of %zu",
              n);
    }
    auto enormous = static_cast<std::align_val_t>(opaque_size(std::size_t{1} << 62));
    CHECK_EQ(thrown_by([=] { return ::operator new(100, enormous); }), 'b',
             "an impossible alignment");
}

void array_lengths_are_checked()
{
    struct big {
        char bytes[1000];
    };
    for (std::size_t n : {SIZE_MAX / 1000 + 1, SIZE_MAX / 2, SIZE_MAX}) {
        int caught = 0;
        try {
            opaque(new big[opaque_size(n)]);
        } catch (const std::bad_alloc &) { /* clang asks for SIZE_MAX instead */
            caught = 1;
        }
        CHECK(caught, "an array of %zu is no bad_alloc", n);
    }
}

int handler_calls;
struct rlimit lowered_from;

void removes_itself()
{
    handler_calls++;
    std::set_new_handler(nullptr);
}

void throws_bad_alloc()
{
    handler_calls++;
    throw std::bad_alloc();
}

void throws_something_else()
{
    handler_calls++;
    throw std::runtime_error("from the handler");
}

void gives_up_at_third_call()
{
    if (++handler_calls == 3) {
        std::set_new_handler(nullptr);
    }
}

void makes_room()
{
    if (++handler_calls == 2) {
        setrlimit(RLIMIT_AS, &lowered_from);
    }
}

// Each form calls the handler that is installed until it gives up.
template <class Call> void loops_over_the_handler(const char *form, Call call)
{
    std::set_new_handler(removes_itself);
    handler_calls = 0;
    CHECK_EQ(thrown_by(call), 'b', "%s: the handler removed itself", form);
    CHECK_EQ(handler_calls, 1, "%s: the handler removed itself", form);

    std::set_new_handler(gives_up_at_third_call);
    handler_calls = 0;
    CHECK_EQ(thrown_by(call), 'b', "%s: the handler gave up", form);
    CHECK_EQ(handler_calls, 3, "%s: the handler gave up", form);

    std::set_new_handler(throws_bad_alloc);
    handler_calls = 0;
    CHECK_EQ(thrown_by(call), 'b', "%s: the handler threw", form);
    CHECK_EQ(handler_calls, 1, "%s: the handler threw", form);

    std::set_new_handler(throws_something_else);
    handler_calls = 0;
    CHECK_EQ(thrown_by(call), 'r', "%s: the handler threw something else", form);
    CHECK_EQ(handler_calls, 1, "%s: the handler threw something else", form);
    std::set_new_handler(nullptr);
}

void throwing_forms_call_the_handler()
{
    auto align = static_cast<std::align_val_t>(128);
    loops_over_the_handler("new", [] { return ::operator new(too_large); });
    loops_over_the_handler("new[]", [] { return ::operator new[](too_large); });
    loops_over_the_handler("aligned new",
                           [=] { return ::operator new(too_large, align); });
    loops_over_the_handler("aligned new[]",
                           [=] { return ::operator new[](too_large, align); });
}

// The nothrow forms call it as well, and turn its exceptions into null.
template <class Call> void nothrow_over_the_handler(const char *form, Call call)
{
    std::set_new_handler(gives_up_at_third_call);
    handler_calls = 0;
    CHECK(!call(), "%s: the handler gave up", form);
    CHECK_EQ(handler_calls, 3, "%s: the handler gave up", form);

    std::set_new_handler(throws_bad_alloc);
    handler_calls = 0;
    CHECK(!call(), "%s: the handler threw", form);
    CHECK_EQ(handler_calls, 1, "%s: the handler threw", form);
    std::set_new_handler(nullptr);
    CHECK(!call(), "%s: no handler", form);
}

void nothrow_forms_call_the_handler()
{
    auto align = static_cast<std::align_val_t>(128);
    nothrow_over_the_handler("new",
                             [] { return ::operator new(too_large, std::nothrow); });
    nothrow_over_the_handler("new[]",
                             [] { return ::operator new[](too_large, std::nothrow); });
    nothrow_over_the_handler(
        "aligned new", [=] { return ::operator new(too_large, align, std::nothrow); });
    nothrow_over_the_handler("aligned new[]", [=] {
        return ::operator new[](too_large, align, std::nothrow);
    });
}

// A handler that makes memory available: the request then succeeds.
int child_with_handler(void *arg)
{
    int form = *static_cast<int *>(arg);
    struct rlimit low;
    getrlimit(RLIMIT_AS, &lowered_from);
    low = lowered_from;
    low.rlim_cur = 1 << 20; // less than is mapped already
    std::set_new_handler(makes_room);
    handler_calls = 0;
    setrlimit(RLIMIT_AS, &low);
    void *p = nullptr;
    std::size_t n = opaque_size(std::size_t{300} << 20);
    auto align = static_cast<std::align_val_t>(4096);
    try {
        p = form == 0   ? ::operator new(n)
            : form == 1 ? ::operator new[](n)
            : form == 2 ? ::operator new(n, std::nothrow)
            : form == 3 ? ::operator new(n, align)
                        : ::operator new[](n, align, std::nothrow);
    } catch (...) {
        FAIL("form %d threw, though the handler had made room", form);
    }
    setrlimit(RLIMIT_AS, &lowered_from);
    CHECK(p, "form %d", form);
    CHECK_EQ(handler_calls, 2, "form %d", form);
    if (p) {
        static_cast<char *>(p)[n - 1] = 1;
    }
    return tap_failures != 0;
}

void the_handler_may_make_room()
{
    for (int form = 0; form < 5; form++) {
        CHECK_EQ(in_child(child_with_handler, &form, 20), 0, "form %d", form);
    }
}

// ------------------------------------------------------------ exceptions

struct fails_to_construct {
    std::string text =
        "a text that is too long for a string's own buffer, so it allocates";
    explicit fails_to_construct(int at)
    {
        if (at <= 0) {
            throw std::runtime_error(text);
        }
    }
};

// The compiler deletes what new gave, by the matching form.
void constructors_that_throw_leak_nothing()
{
    try {
        throw std::runtime_error("the runtime allocates what it keeps for later");
    } catch (const std::exception &) {
    }
    std::uint64_t before = live_blocks();
    int caught = 0;
    for (int i = 0; i < 1000; i++) {
        try {
            std::vector<std::string> frame(10, std::string(100, 'x'));
            opaque(i % 2 ? new fails_to_construct(0)
                         : new (std::nothrow) fails_to_construct(-1));
        } catch (const std::runtime_error &) {
            caught++;
        }
    }
    CHECK_EQ(caught, 1000, "exceptions");
    CHECK_EQ(live_blocks(), before, "blocks left");
}

// bad_alloc itself passes through frames with destructors.
void bad_alloc_unwinds()
{
    std::uint64_t before = live_blocks();
    for (int i = 0; i < 100; i++) {
        try {
            std::vector<std::string> frame(10, std::string(100, 'x'));
            std::vector<char> impossible;
            impossible.reserve(opaque_size(PTRDIFF_MAX) - 1);
            FAIL("half the address space was given");
        } catch (const std::bad_alloc &e) {
            CHECK_STR(e.what(), "std::bad_alloc", "what it says");
        }
    }
    CHECK_EQ(live_blocks(), before, "blocks left");
}

const struct tap_case cases[] = {
    {"the plain forms", plain_forms},
    {"the aligned forms", aligned_forms},
    {"deleting null does nothing", delete_of_null},
    {"impossible sizes throw, or give null if nothrow", impossible_sizes_throw},
    {"array lengths are checked", array_lengths_are_checked},
    {"throwing forms call the new-handler", throwing_forms_call_the_handler},
    {"nothrow forms call the new-handler", nothrow_forms_call_the_handler},
    {"a new-handler may make room", the_handler_may_make_room},
    {"constructors that throw leak nothing", constructors_that_throw_leak_nothing},
    {"bad_alloc unwinds the stack", bad_alloc_unwinds},
};

} // namespace

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
