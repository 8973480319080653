/*
 * Google Benchmark for C: a benchmark is a C function, registered by name, and gets
 * Google Benchmark's command line, console table and JSON.
 *
 *     static void pairs(gbench_state *state, void *arg)
 *     {
 *         size_t size = (size_t)gbench_arg(state, 0);
 *
 *         GBENCH_LOOP(state)
 *         {
 *             free(bench_hide(malloc(size)));
 *         }
 *         gbench_items(state, gbench_iterations(state));
 *     }
 *
 *     gbench *b = gbench_register("pairs", pairs, NULL);
 *     gbench_add_arg(b, 16);
 *     gbench_threads(b, 2);
 *
 * The loop's counter is a local variable of the C function: nothing is called in an
 * iteration.  Its body runs as often as Google Benchmark asks for, and the time from
 * its first iteration to its last is measured; what stands before and after is not.
 *
 * Thread-safety: register and configure from one thread, before gbench_main.  A
 * benchmark with several threads runs its function in each, with a state for each; the
 * threads begin and end the loop together.
 */
#ifndef BENCH_GBENCH_H
#define BENCH_GBENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gbench gbench;             /* a registered benchmark */
typedef struct gbench_state gbench_state; /* one run of it, in one thread */

typedef void gbench_fn(gbench_state *state, void *arg);
typedef void gbench_hook(const gbench_state *state, void *arg);

/* ----------------------------------------------------------------- registering */

/* arg is passed on to fn, set-up and tear-down. */
gbench *gbench_register(const char *name, gbench_fn *fn, void *arg);

/* Each adds runs; a benchmark without arguments runs once (for each thread count). */
void gbench_add_arg(gbench *b, int64_t value);
void gbench_add_args(gbench *b, const int64_t *values, size_t n);
void gbench_add_range(gbench *b, int64_t from, int64_t to, int multiplier);
void gbench_add_dense_range(gbench *b, int64_t from, int64_t to, int step);

/* The names of the arguments, as they appear in the run's name. */
void gbench_arg_names(gbench *b, const char *const *names, size_t n);

/* Runs with that many threads, too; measured by the wall clock from then on. */
void gbench_threads(gbench *b, int threads);

/* Measures wall time in place of the CPU time of the thread. */
void gbench_real_time(gbench *b);

enum gbench_unit { GBENCH_NS, GBENCH_US, GBENCH_MS };
void gbench_unit(gbench *b, enum gbench_unit unit);

/* A fixed number of iterations in place of a measured one. */
void gbench_fixed_iterations(gbench *b, int64_t iterations);

/* Called once before and after each run, whatever the number of its threads.  Of the
 * state they may ask the arguments and the number of threads. */
void gbench_hooks(gbench *b, gbench_hook *set_up, gbench_hook *tear_down);

/* ------------------------------------------------------------------- in a run */

int64_t gbench_arg(const gbench_state *state, size_t index);
int gbench_thread_index(const gbench_state *state);
int gbench_thread_count(const gbench_state *state);

/* Starts the clock and returns how many iterations to do; 0 the next time, when they
 * are done, and then the clock has stopped.  GBENCH_LOOP calls it. */
uint64_t gbench_batch(gbench_state *state);

#define GBENCH_LOOP(state)                                                             \
    for (uint64_t gbench_left_ = gbench_batch(state); gbench_left_ > 0;                \
         gbench_left_ = gbench_left_ > 1 ? gbench_left_ - 1 : gbench_batch(state))

/* Only inside of the loop; costly, as they read the clock. */
void gbench_pause(gbench_state *state);
void gbench_resume(gbench_state *state);

/* Reports the run as failed.  Inside of the loop, follow it by break. */
void gbench_skip(gbench_state *state, const char *why);

/* ------------------------------------------------------------- after the loop */

int64_t gbench_iterations(const gbench_state *state);

/* Totals of this thread; those of all threads are added and shown by the second. */
void gbench_items(gbench_state *state, int64_t items);
void gbench_bytes(gbench_state *state, int64_t bytes);
void gbench_label(gbench_state *state, const char *label);

enum gbench_counter_kind {
    GBENCH_TOTAL,   /* as it is, added over the threads */
    GBENCH_RATE,    /* by the second */
    GBENCH_AVERAGE, /* mean over the threads */
    GBENCH_PER_ITERATION
};
void gbench_counter(gbench_state *state, const char *name, double value,
                    enum gbench_counter_kind kind);

/* ------------------------------------------------------------------------ main */

/* Parses the command line, runs what it selects and returns the exit status. */
int gbench_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
