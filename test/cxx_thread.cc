// Objects of threads and of the whole program whose destructors allocate and
// free: they run in any order beside the allocator's own teardown.
#include "support.h"

#include <malloc.h>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace
{

std::uint64_t live_blocks()
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.small_live;
}

// Allocates in its constructor, its life and its destructor.
struct busy {
    std::map<int, std::string> content;
    std::vector<void *> blocks;
    busy()
    {
        for (int i = 0; i < 50; i++) {
            content[i] = std::string(static_cast<std::size_t>(i) * 10, 'x');
            blocks.push_back(malloc(static_cast<std::size_t>(i) * 37));
        }
    }
    ~busy()
    {
        std::vector<std::string> late(20, std::string(300, 'y'));
        for (void *p : blocks) {
            free(p);
        }
        content[1000] = std::string(5000, 'z');
    }
};

thread_local busy first_of_thread;
thread_local std::unique_ptr<busy> second_of_thread;

void *use_both(void *)
{
    second_of_thread = std::make_unique<busy>();
    return &first_of_thread;
}

void thread_locals_allocate_when_destroyed()
{
    for (int i = 0; i < 3; i++) {
        std::thread(use_both, nullptr).join();
    }
    std::uint64_t before = live_blocks();
    for (int i = 0; i < 300; i++) {
        std::thread(use_both, nullptr).join();
    }
    CHECK(live_blocks() <= before + 4, "300 threads left %ju blocks",
          static_cast<std::uintmax_t>(live_blocks() - before));
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

// What one thread's objects own, the destructors of another thread free.
thread_local std::shared_ptr<busy> shared_by_threads;

void thread_locals_free_each_others_blocks()
{
    std::uint64_t before = live_blocks();
    for (int i = 0; i < 100; i++) {
        auto object = std::make_shared<busy>();
        std::thread a([object] { shared_by_threads = object; });
        std::thread b([object] { shared_by_threads = object; });
        object.reset();
        a.join();
        b.join();
    }
    CHECK(live_blocks() <= before + 4, "%ju blocks are left",
          static_cast<std::uintmax_t>(live_blocks() - before));
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

busy of_the_program;

const struct tap_case cases[] = {
    {"destructors of thread-local objects allocate",
     thread_locals_allocate_when_destroyed},
    {"destructors free blocks of other threads", thread_locals_free_each_others_blocks},
};

} // namespace

int main(int argc, char **argv)
{
    require_pymalloc();
    opaque(&of_the_program);
    return TAP_RUN(cases, argc, argv);
}
