// The C++ side of gbench.h: hands everything on to Google Benchmark.
#include "gbench.h"

#include <benchmark/benchmark.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

struct gbench : public benchmark::internal::Benchmark {
    gbench(const char *name, gbench_fn *function, void *argument)
        : Benchmark(name), fn(function), arg(argument)
    {
    }

    void Run(benchmark::State &state) override;

    gbench_fn *const fn;
    void *const arg;
    gbench_hook *set_up = nullptr;
    gbench_hook *tear_down = nullptr;
};

namespace
{

// A gbench_state is a benchmark::State under another name.
gbench_state *to_c(benchmark::State &state)
{
    return reinterpret_cast<gbench_state *>(&state);
}

const gbench_state *to_c(const benchmark::State &state)
{
    return reinterpret_cast<const gbench_state *>(&state);
}

benchmark::State &to_cxx(gbench_state *state)
{
    return *reinterpret_cast<benchmark::State *>(state);
}

const benchmark::State &to_cxx(const gbench_state *state)
{
    return *reinterpret_cast<const benchmark::State *>(state);
}

// Google Benchmark's hooks are plain functions that are not told which benchmark they
// run for, so each benchmark with hooks gets functions of its own, made from its place
// in this table.
constexpr std::size_t kMaxHooked = 32;
std::array<gbench *, kMaxHooked> hooked;
std::size_t hooked_count = 0;

using raw_hook = void (*)(const benchmark::State &);

template <std::size_t place> void raw_set_up(const benchmark::State &state)
{
    const gbench *b = hooked[place];

    if (b->set_up != nullptr)
        b->set_up(to_c(state), b->arg);
}

template <std::size_t place> void raw_tear_down(const benchmark::State &state)
{
    const gbench *b = hooked[place];

    if (b->tear_down != nullptr)
        b->tear_down(to_c(state), b->arg);
}

template <std::size_t... places>
std::array<std::pair<raw_hook, raw_hook>, sizeof...(places)>
make_raw_hooks(std::index_sequence<places...>)
{
    return {{{raw_set_up<places>, raw_tear_down<places>}...}};
}

} // namespace

void gbench::Run(benchmark::State &state)
{
    fn(to_c(state), arg);
}

gbench *gbench_register(const char *name, gbench_fn *fn, void *arg)
{
    auto *b = new gbench(name, fn, arg);

    benchmark::internal::RegisterBenchmarkInternal(b);
    return b;
}

void gbench_add_arg(gbench *b, int64_t value)
{
    b->Arg(value);
}

void gbench_add_args(gbench *b, const int64_t *values, size_t n)
{
    b->Args(std::vector<int64_t>(values, values + n));
}

void gbench_add_range(gbench *b, int64_t from, int64_t to, int multiplier)
{
    b->RangeMultiplier(multiplier)->Range(from, to);
}

void gbench_add_dense_range(gbench *b, int64_t from, int64_t to, int step)
{
    b->DenseRange(from, to, step);
}

void gbench_arg_names(gbench *b, const char *const *names, size_t n)
{
    b->ArgNames(std::vector<std::string>(names, names + n));
}

void gbench_threads(gbench *b, int threads)
{
    b->Threads(threads)->UseRealTime();
}

void gbench_real_time(gbench *b)
{
    b->UseRealTime();
}

void gbench_unit(gbench *b, enum gbench_unit unit)
{
    static const benchmark::TimeUnit units[] = {
        benchmark::kNanosecond, benchmark::kMicrosecond, benchmark::kMillisecond};

    b->Unit(units[unit]);
}

void gbench_fixed_iterations(gbench *b, int64_t iterations)
{
    b->Iterations(iterations);
}

void gbench_hooks(gbench *b, gbench_hook *set_up, gbench_hook *tear_down)
{
    static const auto raw = make_raw_hooks(std::make_index_sequence<kMaxHooked>());

    if (hooked_count == kMaxHooked) {
        std::fprintf(stderr, "gbench: more than %zu benchmarks have hooks\n",
                     kMaxHooked);
        std::exit(1);
    }
    b->set_up = set_up;
    b->tear_down = tear_down;
    hooked[hooked_count] = b;
    b->Setup(raw[hooked_count].first)->Teardown(raw[hooked_count].second);
    hooked_count++;
}

int64_t gbench_arg(const gbench_state *state, size_t index)
{
    return to_cxx(state).range(index);
}

int gbench_thread_index(const gbench_state *state)
{
    return to_cxx(state).thread_index();
}

int gbench_thread_count(const gbench_state *state)
{
    return to_cxx(state).threads();
}

// A single batch that holds all iterations; the second call finds none left and stops
// the clock.
uint64_t gbench_batch(gbench_state *state)
{
    benchmark::State &s = to_cxx(state);

    return s.KeepRunningBatch(s.max_iterations)
               ? static_cast<uint64_t>(s.max_iterations)
               : 0;
}

void gbench_pause(gbench_state *state)
{
    to_cxx(state).PauseTiming();
}

void gbench_resume(gbench_state *state)
{
    to_cxx(state).ResumeTiming();
}

void gbench_skip(gbench_state *state, const char *why)
{
    to_cxx(state).SkipWithError(why);
}

int64_t gbench_iterations(const gbench_state *state)
{
    return to_cxx(state).iterations();
}

void gbench_items(gbench_state *state, int64_t items)
{
    to_cxx(state).SetItemsProcessed(items);
}

void gbench_bytes(gbench_state *state, int64_t bytes)
{
    to_cxx(state).SetBytesProcessed(bytes);
}

void gbench_label(gbench_state *state, const char *label)
{
    to_cxx(state).SetLabel(label);
}

void gbench_counter(gbench_state *state, const char *name, double value,
                    enum gbench_counter_kind kind)
{
    using benchmark::Counter;
    static const Counter::Flags flags[] = {Counter::kDefaults, Counter::kIsRate,
                                           Counter::kAvgThreads,
                                           Counter::kAvgIterations};

    to_cxx(state).counters[name] = Counter(value, flags[kind]);
}

int gbench_main(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
