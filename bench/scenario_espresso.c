/*
 * A minimiser of two-level logic in the manner of espresso (Brayton et al., 1984):
 * recursive complement, expansion against the off-set, removal of redundant cubes.
 * Covers are arrays that are split, copied, grown and thrown away all the time, so the
 * blocks are small, of very varied sizes, and live as long as one step of a recursion.
 *
 * Each result is checked by evaluating it at random points.
 */
#include "common.h"

enum { FUNCTIONS = 4000, POINTS = 500, MAX_VARS = 15 };

/* What a cube asks of a variable. */
enum { NEVER = 0, ZERO = 1, ONE = 2, ANY = 3 };

/* A sum of cubes; cube i has its literals at literal[i * vars]. */
struct cover {
    size_t vars;
    size_t n;
    size_t room;
    unsigned char *literal;
};

static _Thread_local uint64_t allocations;
static atomic_uint_fast64_t all_allocations;

/* --------------------------------------------------------------------- covers */

static struct cover *cover_new(size_t vars, size_t room)
{
    struct cover *cover = bench_must(malloc(sizeof *cover));

    cover->vars = vars;
    cover->n = 0;
    cover->room = room > 0 ? room : 1;
    cover->literal = bench_must(malloc(cover->room * vars));
    allocations += 2;
    return cover;
}

static void cover_free(struct cover *cover)
{
    free(cover->literal);
    free(cover);
}

static unsigned char *cube_at(const struct cover *cover, size_t i)
{
    return cover->literal + i * cover->vars;
}

/* Adds room for one cube at the end and returns it. */
static unsigned char *cover_extend(struct cover *cover)
{
    if (cover->n == cover->room) {
        cover->room += cover->room / 2 + 1;
        cover->literal = bench_must(realloc(cover->literal, cover->room * cover->vars));
        allocations++;
    }
    return cube_at(cover, cover->n++);
}

static unsigned char *cover_append(struct cover *cover, const unsigned char *cube)
{
    return memcpy(cover_extend(cover), cube, cover->vars);
}

static unsigned char *cube_new(size_t vars)
{
    allocations++;
    return memset(bench_must(malloc(vars)), ANY, vars);
}

static bool cube_is_full(const unsigned char *cube, size_t vars)
{
    for (size_t v = 0; v < vars; v++) {
        if (cube[v] != ANY)
            return false;
    }
    return true;
}

static bool cubes_meet(const unsigned char *a, const unsigned char *b, size_t vars)
{
    for (size_t v = 0; v < vars; v++) {
        if ((a[v] & b[v]) == NEVER)
            return false;
    }
    return true;
}

static bool cube_contains(const unsigned char *a, const unsigned char *b, size_t vars)
{
    for (size_t v = 0; v < vars; v++) {
        if ((a[v] & b[v]) != b[v])
            return false;
    }
    return true;
}

static bool cover_has_full_cube(const struct cover *f)
{
    for (size_t i = 0; i < f->n; i++) {
        if (cube_is_full(cube_at(f, i), f->vars))
            return true;
    }
    return false;
}

/* What is left of f inside of the given cube. */
static struct cover *cofactor(const struct cover *f, const unsigned char *within)
{
    struct cover *result = cover_new(f->vars, f->n);

    for (size_t i = 0; i < f->n; i++) {
        const unsigned char *cube = cube_at(f, i);

        if (!cubes_meet(cube, within, f->vars))
            continue;
        unsigned char *left = cover_append(result, cube);

        for (size_t v = 0; v < f->vars; v++) {
            if (within[v] != ANY)
                left[v] = ANY;
        }
    }
    return result;
}

static struct cover *cofactor_literal(const struct cover *f, size_t var,
                                      unsigned char value)
{
    unsigned char *within = cube_new(f->vars);
    struct cover *result;

    within[var] = value;
    result = cofactor(f, within);
    free(within);
    return result;
}

/* The variable that most cubes ask for: splitting there shortens both halves most. */
static size_t splitting_variable(const struct cover *f)
{
    size_t *uses = bench_must(calloc(f->vars, sizeof *uses));
    size_t best = 0;

    allocations++;
    for (size_t i = 0; i < f->n; i++) {
        for (size_t v = 0; v < f->vars; v++)
            uses[v] += cube_at(f, i)[v] != ANY;
    }
    for (size_t v = 1; v < f->vars; v++) {
        if (uses[v] > uses[best])
            best = v;
    }
    free(uses);
    return best;
}

/* ----------------------------------------------------------------- complement */

static struct cover *complement_of_cube(const unsigned char *cube, size_t vars)
{
    struct cover *result = cover_new(vars, 4);

    for (size_t v = 0; v < vars; v++) {
        if (cube[v] != ANY) {
            unsigned char *opposite = memset(cover_extend(result), ANY, vars);

            opposite[v] = cube[v] ^ ANY;
        }
    }
    return result;
}

static size_t cover_find(const struct cover *f, const unsigned char *cube)
{
    size_t i = 0;

    while (i < f->n && memcmp(cube_at(f, i), cube, f->vars) != 0)
        i++;
    return i;
}

/* Joins the complements of both halves of a split; takes both covers over. */
static struct cover *join_halves(struct cover *zero, struct cover *one, size_t var)
{
    struct cover *result = cover_new(zero->vars, zero->n);

    for (size_t i = 0; i < zero->n; i++) {
        const unsigned char *cube = cube_at(zero, i);
        size_t same = cover_find(one, cube);
        unsigned char *joined = cover_append(result, cube);

        if (same < one->n)
            cube_at(one, same)[var] = NEVER;
        else
            joined[var] = ZERO;
    }
    for (size_t i = 0; i < one->n; i++) {
        if (cube_at(one, i)[var] != NEVER)
            cover_append(result, cube_at(one, i))[var] = ONE;
    }
    cover_free(zero);
    cover_free(one);
    return result;
}

static struct cover *complement(const struct cover *f)
{
    if (f->n == 0) {
        struct cover *all = cover_new(f->vars, 1);

        memset(cover_extend(all), ANY, f->vars);
        return all;
    }
    if (cover_has_full_cube(f))
        return cover_new(f->vars, 1);
    if (f->n == 1)
        return complement_of_cube(cube_at(f, 0), f->vars);

    size_t var = splitting_variable(f);
    struct cover *zero = cofactor_literal(f, var, ZERO);
    struct cover *one = cofactor_literal(f, var, ONE);
    struct cover *not_zero = complement(zero);
    struct cover *not_one = complement(one);

    cover_free(zero);
    cover_free(one);
    return join_halves(not_zero, not_one, var);
}

static bool is_tautology(const struct cover *f)
{
    if (f->n == 0)
        return false;
    if (cover_has_full_cube(f))
        return true;
    if (f->n == 1)
        return false;

    size_t var = splitting_variable(f);
    struct cover *half = cofactor_literal(f, var, ZERO);
    bool always = is_tautology(half);

    cover_free(half);
    if (!always)
        return false;
    half = cofactor_literal(f, var, ONE);
    always = is_tautology(half);
    cover_free(half);
    return always;
}

/* --------------------------------------------------------------- minimisation */

static bool cube_misses_cover(const unsigned char *cube, const struct cover *f)
{
    for (size_t i = 0; i < f->n; i++) {
        if (cubes_meet(cube, cube_at(f, i), f->vars))
            return false;
    }
    return true;
}

/* Every cube of f with as few literals as the off-set allows. */
static struct cover *expand(const struct cover *f, const struct cover *off)
{
    struct cover *result = cover_new(f->vars, 1);

    for (size_t i = 0; i < f->n; i++) {
        unsigned char *cube = cube_new(f->vars);
        bool covered = false;

        memcpy(cube, cube_at(f, i), f->vars);
        for (size_t v = 0; v < f->vars; v++) {
            unsigned char before = cube[v];

            cube[v] = ANY;
            if (before != ANY && !cube_misses_cover(cube, off))
                cube[v] = before;
        }
        for (size_t j = 0; j < result->n && !covered; j++)
            covered = cube_contains(cube_at(result, j), cube, f->vars);
        if (!covered)
            cover_append(result, cube);
        free(cube);
    }
    return result;
}

static struct cover *cover_without(const struct cover *f, size_t skipped)
{
    struct cover *result = cover_new(f->vars, f->n);

    for (size_t i = 0; i < f->n; i++) {
        if (i != skipped)
            cover_append(result, cube_at(f, i));
    }
    return result;
}

/* Drops every cube that the others cover; takes f over. */
static struct cover *irredundant(struct cover *f)
{
    for (size_t i = f->n; i-- > 0;) {
        struct cover *others = cover_without(f, i);
        struct cover *inside = cofactor(others, cube_at(f, i));
        bool redundant = is_tautology(inside);

        cover_free(inside);
        cover_free(redundant ? f : others);
        if (redundant)
            f = others;
    }
    return f;
}

/* ----------------------------------------------------------- making and checking */

static struct cover *random_cover(struct bench_rng *rng)
{
    size_t vars = bench_rng_between(rng, 8, MAX_VARS);
    size_t cubes = bench_rng_between(rng, 10, 26);
    struct cover *f = cover_new(vars, 1);

    for (size_t i = 0; i < cubes; i++) {
        unsigned char *cube = memset(cover_extend(f), ANY, vars);

        for (size_t literals = bench_rng_between(rng, 3, 6); literals > 0; literals--)
            cube[bench_rng_below(rng, vars)] =
                (unsigned char)bench_rng_between(rng, ZERO, ONE);
    }
    return f;
}

static bool cover_value(const struct cover *f, const unsigned char *point)
{
    for (size_t i = 0; i < f->n; i++) {
        if (cube_contains(cube_at(f, i), point, f->vars))
            return true;
    }
    return false;
}

static void check_point(const struct cover *f, const struct cover *off,
                        const struct cover *minimal, struct bench_rng *rng)
{
    unsigned char point[MAX_VARS];
    bool value;

    for (size_t v = 0; v < f->vars; v++)
        point[v] = (unsigned char)bench_rng_between(rng, ZERO, ONE);
    value = cover_value(f, point);
    if (cover_value(off, point) == value || cover_value(minimal, point) != value)
        bench_die("the minimised function has a wrong value");
}

static void minimise_one(struct bench_rng *rng)
{
    struct cover *f = random_cover(rng);
    struct cover *off = complement(f);
    struct cover *minimal = irredundant(expand(f, off));

    for (size_t i = 0; i < POINTS; i++)
        check_point(f, off, minimal, rng);
    cover_free(f);
    cover_free(off);
    cover_free(minimal);
}

static void work(size_t index, void *arg)
{
    size_t functions = *(const size_t *)arg;
    struct bench_rng rng = bench_rng_make(index);

    allocations = 0;
    for (size_t i = 0; i < functions; i++)
        minimise_one(&rng);
    atomic_fetch_add(&all_allocations, allocations);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    size_t functions = bench_scaled(&args, FUNCTIONS);
    double seconds = bench_run_threads(args.threads, work, &functions);

    bench_result("espresso", &args, atomic_load(&all_allocations), seconds);
    return 0;
}
