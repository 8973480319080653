/*
 * Factoring by continued fractions (Morrison and Brillhart, 1975) over a big-number
 * type whose every operation allocates its result: myriads of blocks of 8 to 60 bytes
 * that live for a few instructions.
 *
 * The expansion of sqrt(N) yields pairs with A^2 = +-Q (mod N) and Q below 2 sqrt(N).
 * Those whose Q factors over a small base of primes are kept; a product of some of them
 * that is a square on the right side gives X^2 = Y^2 (mod N), and gcd(X - Y, N) is a
 * factor half of the time.
 */
#include "common.h"

enum { BASE = 180, SPARE = 24, RELATIONS = BASE + SPARE, MAX_STEPS = 10000000 };

/* Products of two primes of similar size. */
static const char *const numbers[] = {
    "3607443187281749071827578429",
    "33510415996958227393962811117",
    "40467398690753340821891147",
    "372375399936070285034973106607",
};

static _Thread_local uint64_t allocations;
static atomic_uint_fast64_t all_allocations;

/* ---------------------------------------------------------------- big numbers */

/* Not negative; the lowest limb first, the highest never 0; n is 0 for zero. */
struct big {
    uint32_t n;
    uint32_t limb[];
};

static struct big *big_new(uint32_t limbs)
{
    struct big *x = bench_must(malloc(sizeof *x + limbs * sizeof x->limb[0]));

    allocations++;
    x->n = limbs;
    return x;
}

static struct big *big_trim(struct big *x)
{
    while (x->n > 0 && x->limb[x->n - 1] == 0)
        x->n--;
    return x;
}

static struct big *big_from(uint32_t value)
{
    struct big *x = big_new(1);

    x->limb[0] = value;
    return big_trim(x);
}

/* Replaces *x by value and frees what was there. */
static void big_set(struct big **x, struct big *value)
{
    free(*x);
    *x = value;
}

static struct big *big_copy(const struct big *a)
{
    struct big *x = big_new(a->n);

    memcpy(x->limb, a->limb, a->n * sizeof a->limb[0]);
    return x;
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (uint32_t i = a->n; i-- > 0;) {
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    }
    return 0;
}

static bool big_is(const struct big *a, uint32_t value)
{
    return value == 0 ? a->n == 0 : a->n == 1 && a->limb[0] == value;
}

static struct big *big_add(const struct big *a, const struct big *b)
{
    uint32_t n = (a->n > b->n ? a->n : b->n) + 1;
    struct big *x = big_new(n);
    uint64_t carry = 0;

    for (uint32_t i = 0; i < n; i++) {
        carry += (uint64_t)(i < a->n ? a->limb[i] : 0) + (i < b->n ? b->limb[i] : 0);
        x->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return big_trim(x);
}

/* a - b, for a not less than b. */
static struct big *big_sub(const struct big *a, const struct big *b)
{
    struct big *x = big_new(a->n);
    uint64_t borrow = 0;

    for (uint32_t i = 0; i < a->n; i++) {
        uint64_t d = (uint64_t)a->limb[i] - (i < b->n ? b->limb[i] : 0) - borrow;

        x->limb[i] = (uint32_t)d;
        borrow = d >> 63;
    }
    return big_trim(x);
}

static struct big *big_mul(const struct big *a, const struct big *b)
{
    struct big *x = big_new(a->n + b->n);

    memset(x->limb, 0, x->n * sizeof x->limb[0]);
    for (uint32_t i = 0; i < a->n; i++) {
        uint64_t carry = 0;

        for (uint32_t j = 0; j < b->n; j++) {
            carry += (uint64_t)a->limb[i] * b->limb[j] + x->limb[i + j];
            x->limb[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        x->limb[i + b->n] = (uint32_t)carry;
    }
    return big_trim(x);
}

/* a / d for one limb d; the remainder goes to *rest. */
static struct big *big_div_limb(const struct big *a, uint32_t d, uint32_t *rest)
{
    struct big *x = big_new(a->n);
    uint64_t r = 0;

    for (uint32_t i = a->n; i-- > 0;) {
        r = r << 32 | a->limb[i];
        x->limb[i] = (uint32_t)(r / d);
        r %= d;
    }
    *rest = (uint32_t)r;
    return big_trim(x);
}

/* a shifted left by less than a limb, with one limb of room on top. */
static struct big *big_shifted(const struct big *a, unsigned bits)
{
    struct big *x = big_new(a->n + 1);
    uint64_t carry = 0;

    for (uint32_t i = 0; i < a->n; i++) {
        carry |= (uint64_t)a->limb[i] << bits;
        x->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    x->limb[a->n] = (uint32_t)carry;
    return x;
}

/* One digit of the school's long division: takes q times d from the n + 1 limbs at r
 * with the largest q that leaves them at 0 or more.  d's top bit is set. */
static uint32_t big_div_digit(uint32_t *r, const uint32_t *d, uint32_t n)
{
    uint64_t top = (uint64_t)r[n] << 32 | r[n - 1];
    uint64_t q = top / d[n - 1];
    uint64_t borrow = 0;

    if (q > UINT32_MAX)
        q = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t product = q * d[i] + borrow;

        borrow = (product >> 32) + (r[i] < (uint32_t)product);
        r[i] -= (uint32_t)product;
    }
    /* The guess is at most two too large: add back until the top limb fits again. */
    top = (uint64_t)r[n] - borrow;
    while (top != 0) {
        uint64_t carry = 0;

        for (uint32_t i = 0; i < n; i++) {
            carry += (uint64_t)r[i] + d[i];
            r[i] = (uint32_t)carry;
            carry >>= 32;
        }
        top += carry;
        q--;
    }
    r[n] = 0;
    return (uint32_t)q;
}

/* a / b; the remainder goes to *rest unless rest is NULL. */
static struct big *big_div(const struct big *a, const struct big *b, struct big **rest)
{
    unsigned bits = (unsigned)__builtin_clz(b->limb[b->n - 1]);
    struct big *r, *d, *x;

    if (big_compare(a, b) < 0) {
        if (rest != NULL)
            *rest = big_copy(a);
        return big_from(0);
    }
    r = big_shifted(a, bits);
    d = big_shifted(b, bits);
    x = big_new(a->n - b->n + 1);
    for (uint32_t i = x->n; i-- > 0;)
        x->limb[i] = big_div_digit(r->limb + i, d->limb, b->n);
    free(d);
    if (rest != NULL) {
        for (uint32_t i = 0; i + 1 < r->n; i++)
            r->limb[i] =
                (uint32_t)(((uint64_t)r->limb[i + 1] << 32 | r->limb[i]) >> bits);
        *rest = big_copy(big_trim(r));
    }
    free(r);
    return big_trim(x);
}

static struct big *big_mod(const struct big *a, const struct big *m)
{
    struct big *rest;

    free(big_div(a, m, &rest));
    return rest;
}

static struct big *big_mul_mod(const struct big *a, const struct big *b,
                               const struct big *m)
{
    struct big *product = big_mul(a, b);
    struct big *x = big_mod(product, m);

    free(product);
    return x;
}

static struct big *big_gcd(const struct big *a, const struct big *b)
{
    struct big *x = big_copy(a);
    struct big *y = big_copy(b);

    while (y->n > 0) {
        struct big *rest = big_mod(x, y);

        free(x);
        x = y;
        y = rest;
    }
    free(y);
    return x;
}

/* The integer square root, by Newton's method from above. */
static struct big *big_sqrt(const struct big *a)
{
    struct big *x = big_copy(a);

    for (;;) {
        struct big *quotient = big_div(a, x, NULL);
        struct big *sum = big_add(x, quotient);
        uint32_t odd;
        struct big *next = big_div_limb(sum, 2, &odd);

        free(quotient);
        free(sum);
        if (big_compare(next, x) >= 0) {
            free(next);
            return x;
        }
        big_set(&x, next);
    }
}

static struct big *big_from_text(const char *digits)
{
    struct big *x = big_from(0);
    struct big *ten = big_from(10);

    for (; *digits != '\0'; digits++) {
        struct big *digit = big_from((uint32_t)(*digits - '0'));
        struct big *shifted = big_mul(x, ten);

        big_set(&x, big_add(shifted, digit));
        free(shifted);
        free(digit);
    }
    free(ten);
    return x;
}

/* ---------------------------------------------------------- primes and relations */

static uint32_t big_mod_limb(const struct big *a, uint32_t d)
{
    uint64_t r = 0;

    for (uint32_t i = a->n; i-- > 0;)
        r = (r << 32 | a->limb[i]) % d;
    return (uint32_t)r;
}

static bool is_prime(uint32_t p)
{
    for (uint32_t d = 2; d * d <= p; d++) {
        if (p % d == 0)
            return false;
    }
    return true;
}

/* Euler's criterion: is a a square modulo the odd prime p? */
static bool is_square_mod(uint32_t a, uint32_t p)
{
    uint64_t x = 1;
    uint64_t power = a;

    for (uint32_t e = (p - 1) / 2; e > 0; e >>= 1) {
        if (e & 1)
            x = x * power % p;
        power = power * power % p;
    }
    return x == 1;
}

/* Only primes modulo which n is a square can divide a Q. */
static void choose_base(uint32_t base[BASE], const struct big *n)
{
    size_t found = 0;

    base[found++] = 2;
    for (uint32_t p = 3; found < BASE; p += 2) {
        if (is_prime(p) && is_square_mod(big_mod_limb(n, p), p))
            base[found++] = p;
    }
}

/* a^2 = (-1)^power[0] * product of base[i]^power[i + 1] (mod n). */
struct relation {
    struct big *a;
    unsigned char *power;
};

/* The powers of the base's primes in q, or NULL if another prime divides it. */
static unsigned char *powers_over_base(const struct big *q, const uint32_t base[BASE])
{
    unsigned char *power = bench_must(calloc(BASE + 1, 1));
    struct big *left = big_copy(q);
    bool smooth;

    allocations++;
    for (size_t i = 0; i < BASE && !big_is(left, 1);) {
        uint32_t rest;
        struct big *quotient = big_div_limb(left, base[i], &rest);

        if (rest == 0) {
            power[i + 1]++;
            big_set(&left, quotient);
        } else {
            free(quotient);
            i++;
        }
    }
    smooth = big_is(left, 1);
    free(left);
    if (!smooth) {
        free(power);
        power = NULL;
    }
    return power;
}

/* The state of the expansion at step i: P_i, Q_i and the numerators A_(i-1), A_(i-2)
 * modulo N. */
struct expansion {
    struct big *root;
    struct big *p;
    struct big *q;
    struct big *a;
    struct big *a_before;
    bool odd;
};

static void expansion_begin(struct expansion *x, const struct big *n)
{
    struct big *square;

    x->root = big_sqrt(n);
    x->p = big_copy(x->root);
    square = big_mul(x->root, x->root);
    x->q = big_sub(n, square);
    free(square);
    x->a = big_copy(x->root);
    x->a_before = big_from(1);
    x->odd = true;
}

static void expansion_step(struct expansion *x, const struct big *n)
{
    struct big *sum = big_add(x->root, x->p);
    struct big *quotient = big_div(sum, x->q, NULL);
    struct big *product = big_mul(quotient, x->a);
    struct big *next = big_add(product, x->a_before);

    free(sum);
    free(product);
    big_set(&x->a_before, x->a);
    x->a = big_mod(next, n);
    free(next);

    product = big_mul(quotient, x->q);
    free(quotient);
    big_set(&x->p, big_sub(product, x->p));
    free(product);
    product = big_mul(x->p, x->p);
    next = big_sub(n, product);
    free(product);
    big_set(&x->q, big_div(next, x->q, NULL));
    free(next);
    x->odd = !x->odd;
}

static void expansion_end(struct expansion *x)
{
    free(x->root);
    free(x->p);
    free(x->q);
    free(x->a);
    free(x->a_before);
}

static void check_relation(const struct big *a, const struct big *q, bool odd,
                           const struct big *n)
{
    struct big *square = big_mul_mod(a, a, n);
    struct big *right = odd ? big_sub(n, q) : big_copy(q);

    if (big_compare(square, right) != 0)
        bench_die("a step of the expansion is wrong");
    free(square);
    free(right);
}

static struct relation *collect_relations(const struct big *n,
                                          const uint32_t base[BASE])
{
    struct relation *relations = bench_must(malloc(RELATIONS * sizeof *relations));
    struct expansion x;
    size_t found = 0;

    allocations++;
    expansion_begin(&x, n);
    for (size_t step = 0; found < RELATIONS; step++) {
        unsigned char *power = powers_over_base(x.q, base);

        if (step == MAX_STEPS)
            bench_die("the expansion yields nothing");
        if (power != NULL) {
            check_relation(x.a, x.q, x.odd, n);
            power[0] = x.odd;
            relations[found].a = big_copy(x.a);
            relations[found].power = power;
            found++;
        }
        expansion_step(&x, n);
    }
    expansion_end(&x);
    return relations;
}

/* -------------------------------------------------------------------- squares */

/* One row a relation: parities of its powers, then which relations went into it. */
enum { COLUMNS = BASE + 1 + RELATIONS };

static unsigned char **parity_rows(const struct relation *relations)
{
    unsigned char **rows = bench_must(malloc(RELATIONS * sizeof *rows));

    for (size_t r = 0; r < RELATIONS; r++) {
        rows[r] = bench_must(calloc(COLUMNS, 1));
        for (size_t c = 0; c <= BASE; c++)
            rows[r][c] = relations[r].power[c] & 1;
        rows[r][BASE + 1 + r] = 1;
    }
    allocations += RELATIONS + 1;
    return rows;
}

static void row_add(unsigned char *row, const unsigned char *other)
{
    for (size_t c = 0; c < COLUMNS; c++)
        row[c] ^= other[c];
}

/* Eliminates; returns from which row on the parities are all even. */
static size_t eliminate(unsigned char **rows)
{
    size_t rank = 0;

    for (size_t c = 0; c <= BASE && rank < RELATIONS; c++) {
        size_t r = rank;

        while (r < RELATIONS && rows[r][c] == 0)
            r++;
        if (r == RELATIONS)
            continue;
        unsigned char *pivot = rows[r];

        rows[r] = rows[rank];
        rows[rank] = pivot;
        for (r = rank + 1; r < RELATIONS; r++) {
            if (rows[r][c] != 0)
                row_add(rows[r], pivot);
        }
        rank++;
    }
    return rank;
}

/* The square root of the right side: all powers halved. */
static struct big *half_product(const unsigned *power, const uint32_t base[BASE],
                                const struct big *n)
{
    struct big *y = big_from(1);

    for (size_t i = 0; i < BASE; i++) {
        struct big *prime = big_from(base[i]);

        for (unsigned e = power[i + 1] / 2; e > 0; e--)
            big_set(&y, big_mul_mod(y, prime, n));
        free(prime);
    }
    return y;
}

static void check_squares(const struct big *x, const struct big *y, const struct big *n)
{
    struct big *xx = big_mul_mod(x, x, n);
    struct big *yy = big_mul_mod(y, y, n);

    if (big_compare(xx, yy) != 0)
        bench_die("two squares that must be congruent are not");
    free(xx);
    free(yy);
}

/* gcd(X - Y, N) for the relations that are marked in the row. */
static struct big *try_row(const unsigned char *row, const struct relation *relations,
                           const uint32_t base[BASE], const struct big *n)
{
    unsigned power[BASE + 1] = {0};
    struct big *x = big_from(1);
    struct big *y, *difference, *divisor;

    for (size_t r = 0; r < RELATIONS; r++) {
        if (row[BASE + 1 + r] == 0)
            continue;
        big_set(&x, big_mul_mod(x, relations[r].a, n));
        for (size_t i = 0; i <= BASE; i++)
            power[i] += relations[r].power[i];
    }
    y = half_product(power, base, n);
    check_squares(x, y, n);
    difference = big_compare(x, y) < 0 ? big_sub(y, x) : big_sub(x, y);
    divisor = big_gcd(difference, n);
    free(difference);
    free(x);
    free(y);
    return divisor;
}

static void factor(const char *digits)
{
    struct big *n = big_from_text(digits);
    struct big *divisor = big_from(1);
    uint32_t base[BASE];
    struct relation *relations;
    unsigned char **rows;

    choose_base(base, n);
    relations = collect_relations(n, base);
    rows = parity_rows(relations);
    for (size_t r = eliminate(rows); r < RELATIONS; r++) {
        if (!big_is(divisor, 1) && big_compare(divisor, n) != 0)
            break;
        big_set(&divisor, try_row(rows[r], relations, base, n));
    }
    if (big_is(divisor, 1) || big_compare(divisor, n) == 0)
        bench_die("no factor of %s found", digits);
    struct big *rest = big_mod(n, divisor);

    if (rest->n != 0)
        bench_die("a wrong factor of %s", digits);
    for (size_t r = 0; r < RELATIONS; r++) {
        free(rows[r]);
        free(relations[r].a);
        free(relations[r].power);
    }
    free(rows);
    free(relations);
    free(rest);
    free(divisor);
    free(n);
}

static void work(size_t index, void *arg)
{
    size_t count = *(const size_t *)arg;

    (void)index;
    allocations = 0;
    for (size_t i = 0; i < count; i++)
        factor(numbers[i % BENCH_COUNT(numbers)]);
    atomic_fetch_add(&all_allocations, allocations);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    size_t count = bench_scaled(&args, BENCH_COUNT(numbers));
    double seconds = bench_run_threads(args.threads, work, &count);

    bench_result("cfrac", &args, atomic_load(&all_allocations), seconds);
    return 0;
}
