/*
 * A server that goes through phases, and what it holds while it does: sessions in a
 * shared table are replaced request after request, and each phase wants them in other
 * sizes than the one before.  Twice most sessions are dropped and the server has almost
 * nothing to do for a while: does its memory go back then?
 *
 * Samples the resident size throughout.  The seconds reported are those of the busy
 * phases; latencies are of whole requests.
 */
#include "common.h"

enum {
    SESSIONS = 24000,
    PARTS = 8,
    SCRATCH = 24,
    QUIET_MS = 700,
    QUIET_STEP_MS = 10,
    QUIET_REQUESTS = 10, /* for each thread and step */
    SAMPLE_MS = 25
};

struct session {
    size_t parts;
    void *part[];
};

/* A phase with requests is busy; one without is quiet. */
struct phase {
    const char *name;
    size_t requests; /* for each thread */
    size_t part_min; /* bytes of a session's parts */
    size_t part_max;
    size_t sessions; /* how many of the table's slots are used */
};

static const struct phase phases[] = {
    {"small", 80000, 24, 160, SESSIONS},       {"medium", 80000, 160, 700, SESSIONS},
    {"large", 50000, 700, 6000, SESSIONS / 6}, {"quiet", 0, 160, 700, SESSIONS / 10},
    {"mixed", 80000, 24, 2000, SESSIONS},      {"small", 80000, 24, 160, SESSIONS},
    {"quiet", 0, 24, 160, SESSIONS / 10},
};

struct server {
    _Atomic(struct session *) table[SESSIONS];
    const struct phase *phase;
    size_t requests;
    size_t threads;
    atomic_bool sampling;
    struct bench_rng *rng;
    struct bench_latency *latency;
    struct bench_rss_log rss;
};

/* -------------------------------------------------------------------- sessions */

static struct session *session_new(const struct phase *phase, struct bench_rng *rng)
{
    size_t parts = bench_rng_between(rng, PARTS / 2, PARTS);
    struct session *session =
        bench_must(malloc(sizeof *session + parts * sizeof session->part[0]));

    session->parts = parts;
    for (size_t i = 0; i < parts; i++)
        session->part[i] = bench_block_new(
            bench_rng_doubling(rng, phase->part_min, phase->part_max), (unsigned)i);
    return session;
}

static void session_free(struct session *session)
{
    if (session == NULL)
        return;
    bench_blocks_free(session->part, session->parts);
    free(session);
}

static void session_touch(const struct session *session)
{
    if (session == NULL)
        return;
    for (size_t i = 0; i < session->parts; i++)
        bench_block_check(session->part[i]);
}

/* -------------------------------------------------------------------- requests */

/* What a parser leaves behind and throws away. */
static void make_scratch(void **scratch, struct bench_rng *rng)
{
    for (size_t i = 0; i < SCRATCH; i++)
        scratch[i] = bench_block_new(bench_rng_doubling(rng, 16, 1024), (unsigned)i);
}

/* A response that grows as it is written. */
static void build_response(struct bench_rng *rng)
{
    size_t wanted = bench_rng_doubling(rng, 256, 16 * BENCH_KIB);
    size_t room = 256;
    char *response = bench_must(malloc(room));

    for (size_t n = 0; n < wanted; n += 64) {
        if (n + 64 > room) {
            room *= 2;
            response = bench_must(realloc(response, room));
        }
        memset(response + n, (int)(n / 64 & 0xff), 64);
    }
    for (size_t n = 0; n < wanted; n += 64) {
        if ((unsigned char)response[n + 63] != (n / 64 & 0xff))
            bench_die("a response has wrong data at %zu", n);
    }
    free(response);
}

/* Takes the session out of the table while working on it, as a lock would.  Slots that
 * the phase does not use lose their sessions for good. */
static void work_on_session(struct server *server, struct bench_rng *rng)
{
    size_t slot = bench_rng_below(rng, SESSIONS);
    struct session *session = atomic_exchange(&server->table[slot], NULL);
    bool used = slot < server->phase->sessions;

    if (used && session != NULL && bench_rng_below(rng, 3) > 0) {
        session_touch(session);
    } else {
        session_free(session);
        session = used ? session_new(server->phase, rng) : NULL;
    }
    session_free(atomic_exchange(&server->table[slot], session));
}

static void serve_request(struct server *server, struct bench_rng *rng)
{
    void *scratch[SCRATCH];

    make_scratch(scratch, rng);
    work_on_session(server, rng);
    build_response(rng);
    bench_shuffle(scratch, SCRATCH, rng);
    bench_blocks_free(scratch, SCRATCH);
}

static void be_busy(size_t index, void *arg)
{
    struct server *server = arg;

    for (size_t i = 0; i < server->requests; i++) {
        uint64_t begin = bench_now_ns();

        serve_request(server, &server->rng[index]);
        bench_latency_add(&server->latency[index], bench_now_ns() - begin);
    }
}

/* Each thread drops its share of what the phase does not keep; then light work. */
static void be_quiet(size_t index, void *arg)
{
    struct server *server = arg;

    for (size_t i = server->phase->sessions + index; i < SESSIONS; i += server->threads)
        session_free(atomic_exchange(&server->table[i], NULL));
    for (unsigned ms = 0; ms < QUIET_MS; ms += QUIET_STEP_MS) {
        bench_sleep_ms(QUIET_STEP_MS);
        for (size_t i = 0; i < QUIET_REQUESTS; i++)
            serve_request(server, &server->rng[index]);
    }
}

static void *sample_rss(void *arg)
{
    struct server *server = arg;

    while (atomic_load(&server->sampling)) {
        bench_rss_sample(&server->rss);
        bench_sleep_ms(SAMPLE_MS);
    }
    return NULL;
}

/* ------------------------------------------------------------------------ main */

static size_t mean_rss_kb(const struct bench_rss_log *log)
{
    size_t sum = 0;

    for (size_t i = 0; i < log->n; i++)
        sum += log->sample[i].kb;
    return log->n == 0 ? 0 : sum / log->n;
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 2);
    struct server *server = bench_map(sizeof *server);
    struct bench_latency all = {0};
    size_t quiet_kb[2] = {0, 0};
    size_t quiet = 0;
    uint64_t ops = 0;
    double seconds = 0;
    pthread_t sampler;

    server->threads = args.threads;
    server->rng = bench_map(args.threads * sizeof *server->rng);
    server->latency = bench_map(args.threads * sizeof *server->latency);
    for (size_t i = 0; i < args.threads; i++)
        server->rng[i] = bench_rng_make(i);
    atomic_store(&server->sampling, true);
    bench_spawn(&sampler, sample_rss, server);

    for (size_t i = 0; i < BENCH_COUNT(phases); i++) {
        server->phase = &phases[i];
        if (phases[i].requests > 0) {
            server->requests = bench_scaled(&args, phases[i].requests);
            seconds += bench_run_threads(args.threads, be_busy, server);
            ops += args.threads * server->requests;
        } else {
            bench_run_threads(args.threads, be_quiet, server);
            quiet_kb[quiet++] = bench_rss_kb();
        }
    }
    atomic_store(&server->sampling, false);
    pthread_join(sampler, NULL);
    for (size_t i = 0; i < SESSIONS; i++)
        session_free(atomic_load(&server->table[i]));
    for (size_t i = 0; i < args.threads; i++)
        bench_latency_merge(&all, &server->latency[i]);

    bench_rss_print(&server->rss);
    bench_result_with("phases", &args, ops, seconds,
                      "rss_mean_kb=%zu rss_quiet1_kb=%zu rss_quiet2_kb=%zu "
                      "p50_ns=%" PRIu64 " p99_ns=%" PRIu64 " p999_ns=%" PRIu64,
                      mean_rss_kb(&server->rss), quiet_kb[0], quiet_kb[1],
                      bench_latency_ns(&all, 0.5), bench_latency_ns(&all, 0.99),
                      bench_latency_ns(&all, 0.999));
    return 0;
}
