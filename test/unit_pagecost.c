/* pagecost.h: in which pages memory is had. */
#include "pagecost.h"

#include "os.h"
#include "support.h"

#include <errno.h>
#include <stdbool.h>

enum { SECONDS = 60, CHEAP = 100 * 1000, DEAR = 4000 * 1000 };

/* What a unit costs, in nanoseconds: when it is populated, and for each time that it is
 * looked at. */
static struct {
    uint64_t ns, populate[2], look;
    bool has_populated, has_no_addresses;
    int tries[2], mapped; /* with units that nobody keeps */
    enum pym_pages pages;
    int error;
} fake = {.ns = 1000};

uint64_t __wrap_pym_os_clock_ns(void);
uint64_t __wrap_pym_os_clock_ns(void)
{
    uint64_t now = fake.ns;
    fake.ns += fake.has_populated ? fake.look : 0;
    fake.has_populated = false;
    return now;
}

/* How a try is made. */
static int try(enum pym_pages pages, size_t size)
{
    CHECK_EQ(size, PYM_PAGECOST_UNIT, "a unit");
    CHECK_EQ(fake.mapped, 1, "units that are mapped");
    fake.tries[pages]++;
    fake.ns += fake.populate[pages];
    return fake.error;
}

int __wrap_pym_os_populate(void *start, size_t size);
int __wrap_pym_os_populate(void *start, size_t size)
{
    (void)start;
    return try(PYM_PAGES_SMALL, size);
}

int __wrap_pym_os_populate_huge(void *start, size_t size);
int __wrap_pym_os_populate_huge(void *start, size_t size)
{
    CHECK_EQ((uintptr_t)start % PYM_PAGECOST_UNIT, 0, "a unit's start");
    return try(PYM_PAGES_HUGE, size);
}

void *__real_pym_os_map(size_t size);
void *__wrap_pym_os_map(size_t size);
void *__wrap_pym_os_map(size_t size)
{
    if (fake.has_no_addresses) {
        return NULL;
    }
    fake.mapped++;
    return __real_pym_os_map(size);
}

void __real_pym_os_unmap(void *start, size_t size);
void __wrap_pym_os_unmap(void *start, size_t size);
void __wrap_pym_os_unmap(void *start, size_t size)
{
    fake.mapped--;
    __real_pym_os_unmap(start, size);
}

static char *unit;

static int populate(void *start, size_t size)
{
    CHECK(start == unit && size == PYM_PAGECOST_UNIT, "%zu bytes at %p", size, start);
    fake.ns += fake.populate[fake.pages];
    fake.has_populated = true;
    return fake.error;
}

/* One unit, as it is chosen. */
static enum pym_pages get_one(void)
{
    fake.pages = pym_pagecost_choose();
    CHECK_EQ(pym_pagecost_populate(unit, fake.pages, populate), fake.error, "result");
    return fake.pages;
}

/* How many of so many were huge. */
static int get(int units)
{
    int huge = 0;
    for (int i = 0; i < units; i++) {
        huge += get_one() == PYM_PAGES_HUGE;
    }
    return huge;
}

static void set(uint64_t small, uint64_t huge)
{
    fake.populate[PYM_PAGES_SMALL] = small;
    fake.populate[PYM_PAGES_HUGE] = huge;
}

static void both_are_tried_at_first(void)
{
    set(CHEAP, DEAR);
    CHECK_EQ(get_one(), PYM_PAGES_HUGE, "the first");
    CHECK_EQ(get_one(), PYM_PAGES_SMALL, "the second");
}

static void what_is_cheaper_is_chosen(void)
{
    set(CHEAP, DEAR);
    CHECK_EQ(get(16), 1, "huge ones that are dear");
}

static void huge_ones_may_cost_a_bit_more(void)
{
    set(CHEAP, CHEAP * 4 / 3);
    CHECK_EQ(get(16), 15, "huge ones");
}

/* The waits become longer: of many units few are tried in vain. */
static void the_other_is_tried_again(void)
{
    set(CHEAP, DEAR);
    int huge = get(1000);
    CHECK(huge >= 4 && huge <= 6, "%d tries in 1000", huge);
    huge = get(4000);
    CHECK(huge >= 10 && huge <= 16, "%d tries in 4000 more", huge);
}

static void small_ones_are_tried_again(void)
{
    set(DEAR, CHEAP);
    int small = 1000 - get(1000);
    CHECK(small >= 4 && small <= 6, "%d tries in 1000", small);
}

static void what_has_become_dear_is_left_at_once(void)
{
    set(CHEAP * 2, CHEAP);
    (void)get(10);
    set(CHEAP * 2, DEAR);
    CHECK_EQ(get_one(), PYM_PAGES_HUGE, "before it is known");
    CHECK_EQ(get(10), 0, "huge ones");
}

static void what_has_become_cheap_is_found(void)
{
    set(CHEAP, DEAR);
    (void)get(100);
    set(CHEAP, CHEAP / 2);
    (void)get(1000);
    int huge = get(100);
    CHECK(huge >= 98, "%d of 100", huge);
}

/* As where a page is ready only when it is used. */
static void the_first_use_counts(void)
{
    set(CHEAP, CHEAP * 2);
    (void)get(3);
    CHECK_EQ(get_one(), PYM_PAGES_SMALL, "the cheaper ones");
    fake.look = CHEAP; /* for one page in eight */
    CHECK(get(40) > 20, "small ones are chosen still");
}

static void failures_tell_nothing(void)
{
    set(CHEAP, DEAR);
    fake.error = ENOMEM;
    CHECK_EQ(get(10), 10, "huge ones, of which nothing is known");
    fake.error = 0;
    CHECK_EQ(get(10), 1, "huge ones");
}

/* How many choices of so many were huge. */
static int choose_for_more(int times)
{
    int huge = 0;
    for (int i = 0; i < times; i++) {
        huge += pym_pagecost_choose_for_more() == PYM_PAGES_HUGE;
        CHECK_EQ(fake.mapped, 0, "units that are kept");
    }
    return huge;
}

static void for_more_tries_are_made_apart(void)
{
    set(CHEAP, DEAR);
    CHECK_EQ(choose_for_more(1), 0, "huge ones that are dear");
    CHECK(fake.tries[PYM_PAGES_HUGE] == 1 && fake.tries[PYM_PAGES_SMALL] == 1,
          "%d and %d tries", fake.tries[PYM_PAGES_HUGE], fake.tries[PYM_PAGES_SMALL]);
    CHECK_EQ(choose_for_more(1000), 0, "huge ones that are dear");
    CHECK(fake.tries[PYM_PAGES_HUGE] >= 4 && fake.tries[PYM_PAGES_HUGE] <= 7,
          "%d tries", fake.tries[PYM_PAGES_HUGE]);
    set(CHEAP, CHEAP / 2);
    CHECK(choose_for_more(2000) > 1000, "huge ones that are cheap");
}

static void for_more_small_ones_do_without_tries(void)
{
    fake.has_no_addresses = true;
    CHECK_EQ(choose_for_more(10), 0, "huge ones of which nothing can be known");
    fake.has_no_addresses = false;
    fake.error = ENOMEM;
    CHECK_EQ(choose_for_more(10), 0, "huge ones of which there are none");
    fake.error = 0;
    set(CHEAP, CHEAP);
    CHECK_EQ(choose_for_more(10), 10, "huge ones");
}

/* In a child, so that nothing is known at first. */
IN_CHILD(both_are_tried_at_first, SECONDS)
IN_CHILD(what_is_cheaper_is_chosen, SECONDS)
IN_CHILD(huge_ones_may_cost_a_bit_more, SECONDS)
IN_CHILD(the_other_is_tried_again, SECONDS)
IN_CHILD(small_ones_are_tried_again, SECONDS)
IN_CHILD(what_has_become_dear_is_left_at_once, SECONDS)
IN_CHILD(what_has_become_cheap_is_found, SECONDS)
IN_CHILD(the_first_use_counts, SECONDS)
IN_CHILD(failures_tell_nothing, SECONDS)
IN_CHILD(for_more_tries_are_made_apart, SECONDS)
IN_CHILD(for_more_small_ones_do_without_tries, SECONDS)

static const struct tap_case cases[] = {
    {"both are tried at first", child_both_are_tried_at_first},
    {"what is cheaper is chosen", child_what_is_cheaper_is_chosen},
    {"huge ones may cost a bit more", child_huge_ones_may_cost_a_bit_more},
    {"the other is tried again", child_the_other_is_tried_again},
    {"small ones are tried again", child_small_ones_are_tried_again},
    {"what has become dear is left at once",
     child_what_has_become_dear_is_left_at_once},
    {"what has become cheap is found", child_what_has_become_cheap_is_found},
    {"the first use counts", child_the_first_use_counts},
    {"failures tell nothing", child_failures_tell_nothing},
    {"for more, tries are made apart", child_for_more_tries_are_made_apart},
    {"for more, small ones do without tries",
     child_for_more_small_ones_do_without_tries},
};

int main(int argc, char **argv)
{
    unit = pages(PYM_PAGECOST_UNIT);
    return TAP_RUN(cases, argc, argv);
}
