/* syshuge.h: for which large blocks huge pages are asked for. */
#include "alloc.h"
#include "options.h"
#include "os.h"
#include "pagecost.h"
#include "support.h"
#include "syshuge.h"

#define MB ((size_t)1 << 20)

/* What the kernel would say of all pages, and what it was asked for. */
static struct {
    int resident;
    uintptr_t start;
    size_t size;
    unsigned requests;
    unsigned questions;
    uintptr_t fresh;     /* a page that is never resident */
    uintptr_t populated; /* a unit, the latest */
    uint64_t ns, small_ns, huge_ns;
    bool is_huge; /* the memory of the latest block */
} fake;

uint64_t __wrap_pym_os_clock_ns(void);
uint64_t __wrap_pym_os_clock_ns(void)
{
    return fake.ns;
}

int __wrap_pym_os_populate(void *start, size_t size);
int __wrap_pym_os_populate(void *start, size_t size)
{
    CHECK_EQ(size, PYM_PAGECOST_UNIT, "a unit");
    fake.populated = (uintptr_t)start;
    fake.ns += fake.is_huge ? fake.huge_ns : fake.small_ns;
    return 0;
}

/* For tries, which come before what is asked for a block. */
int __wrap_pym_os_populate_huge(void *start, size_t size);
int __wrap_pym_os_populate_huge(void *start, size_t size)
{
    (void)start;
    CHECK_EQ(size, PYM_PAGECOST_UNIT, "a unit");
    fake.ns += fake.huge_ns;
    return 0;
}

int __wrap_pym_os_is_resident(void *page);
int __wrap_pym_os_is_resident(void *page)
{
    CHECK_EQ((uintptr_t)page % pym_os_page_size(), 0, "a page's start");
    fake.questions++;
    return (uintptr_t)page == fake.fresh ? 0 : fake.resident;
}

void __wrap_pym_os_want_huge(void *start, size_t size);
void __wrap_pym_os_want_huge(void *start, size_t size)
{
    fake.start = (uintptr_t)start;
    fake.size = size;
    fake.is_huge = true;
    fake.requests++;
}

/* Whether huge pages are asked for a block that the system has made. */
static bool is_huge(uintptr_t block, size_t size)
{
    unsigned before = fake.requests;
    fake.is_huge = false;
    pym_syshuge_made((void *)block, size);
    if (fake.requests == before) {
        return false;
    }
    CHECK_EQ(fake.start % pym_os_page_size(), 0, "a page's start");
    CHECK(fake.start <= block && fake.start + fake.size == block + size,
          "the block and no more");
    return true;
}

/* The next block is the first; the program has used nothing up. */
static void begin(void)
{
    pym_options_parse("huge:1");
    fake.huge_ns = fake.small_ns = 1000;
    fake.resident = 0;
    for (int i = 0; i < 10; i++) {
        (void)is_huge(0x10000010, 4 * MB);
    }
    fake.resident = -1;
    (void)is_huge(0x10000010, 4 * MB);
}

static void programs_that_use_blocks_up_get_them(void)
{
    begin();
    CHECK(!is_huge(0x20000010, 8 * MB), "before anything is known");
    fake.resident = 1;
    CHECK(!is_huge(0x30000010, 33 * MB), "more than four times what was used up");
    begin();
    CHECK(!is_huge(0x20000010, 8 * MB), "before anything is known");
    fake.resident = 1;
    CHECK(is_huge(0x30000010, 8 * MB), "when one was used up");
    CHECK(is_huge(0x40000010, 32 * MB), "four times as much");
    CHECK(is_huge(0x50000010, 2 * MB), "less");
    CHECK(is_huge(0x60000010, 500 * MB), "16 times as much, after three more");
    CHECK(!is_huge(0x70000010, 9000 * MB), "far more than ever");
    begin();
    (void)is_huge(0x20000010, 2 * MB);
    fake.resident = 1;
    CHECK(!is_huge(0x30000010, 9 * MB), "trust begins anew");
}

static void programs_that_leave_one_untouched_do_not(void)
{
    begin();
    fake.resident = 1;
    CHECK(is_huge(0x20000010, 8 * MB), "one was used up");
    fake.resident = 0;
    CHECK(!is_huge(0x30000010, 8 * MB), "the next was not");
    fake.resident = 1;
    CHECK(is_huge(0x40000010, 8 * MB), "then it was");
}

/* Blocks may be made first and filled then. */
static void a_block_may_be_filled_late(void)
{
    begin();
    CHECK(!is_huge(0x20000010, 8 * MB), "the first");
    fake.resident = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(!is_huge(0x30000010, 8 * MB), "none is filled");
    }
    fake.resident = 1;
    CHECK(is_huge(0x40000010, 8 * MB), "the first is filled");
}

static void blocks_that_are_gone_tell_nothing(void)
{
    begin();
    fake.resident = 1;
    CHECK(is_huge(0x20000010, 8 * MB), "one was used up");
    fake.resident = -1;
    CHECK(is_huge(0x30000010, 8 * MB), "the next was freed");
}

static void what_grows_is_used_up(void)
{
    begin();
    fake.resident = 1;
    pym_syshuge_resizing((void *)0x20000010, 4 * MB);
    fake.resident = -1;
    CHECK(is_huge(0x20000010, 8 * MB), "twice as much");
    begin();
    pym_syshuge_resizing((void *)0x20000010, 4 * MB);
    CHECK(!is_huge(0x20000010, 8 * MB), "when it was not");
}

static void few_questions_are_asked(void)
{
    begin();
    fake.resident = 1;
    fake.questions = 0;
    (void)is_huge(0x20000010, 8 * MB);
    CHECK(fake.questions > 1 && fake.questions <= 9, "%u questions", fake.questions);
}

static void the_option_turns_it_off(void)
{
    begin();
    fake.resident = 1;
    pym_options_parse("huge:0");
    fake.questions = 0;
    pym_syshuge_resizing((void *)0x20000010, 4 * MB);
    CHECK(!is_huge(0x20000010, 8 * MB), "none asked for");
    CHECK_EQ(fake.questions, 0, "questions");
    pym_options_parse("huge:1");
}

/* The first unit of each block tells what they cost now, and tries what others do. */
static void blocks_are_had_in_cheap_pages(void)
{
    begin();
    uintptr_t block = (uintptr_t)pages(10 * MB) + 16;
    uintptr_t unit = pym_round_up(block, PYM_PAGECOST_UNIT);
    fake.fresh = unit;
    fake.resident = 1;
    (void)is_huge(0x20000010, 8 * MB); /* a program that uses its blocks up */
    fake.huge_ns = 9000;
    CHECK(is_huge(block, 8 * MB), "the first");
    CHECK_EQ(fake.populated, unit, "the first unit");
    CHECK(!is_huge(block, 8 * MB), "the second, when the first was dear");
    fake.populated = 0;
    CHECK(!is_huge(0x30000010, 8 * MB), "one that was used before");
    CHECK(fake.populated != unit, "its first unit");
    fake.populated = 0;
    (void)is_huge(unit + 16, 3 * MB);
    CHECK_EQ(fake.populated, 0, "where there is no whole unit");
    unsigned before = fake.requests;
    for (int i = 0; i < 1000; i++) {
        (void)is_huge(block, 8 * MB);
    }
    CHECK_EQ(fake.requests, before, "tries are made elsewhere");
    fake.huge_ns = 1000;
    for (int i = 0; i < 2000; i++) {
        (void)is_huge(block, 8 * MB);
    }
    CHECK(fake.requests - before > 1000, "%u of 2000", fake.requests - before);
    fake.fresh = 0;
}

/* The way there from malloc. */
static void malloc_comes_by(void)
{
    if (pym_sysalloc.usable_size == NULL) {
        SKIP("the system allocator does not tell sizes");
    }
    begin();
    fake.resident = 1;
    unsigned before = fake.requests;
    void *small = pym_alloc_malloc(opaque_size(PYM_SYSHUGE_LEAST - 1));
    CHECK_EQ(fake.requests, before, "a smaller block");
    void *block = pym_alloc_malloc(opaque_size(4 * MB));
    CHECK_EQ(fake.requests, before + 1, "malloc");
    block = pym_alloc_realloc(block, opaque_size(9 * MB));
    CHECK_EQ(fake.requests, before + 2, "realloc");
    void *zeroed = pym_alloc_calloc(4, MB);
    CHECK_EQ(fake.requests, before + 3, "calloc");
    void *aligned = pym_alloc_aligned(64, opaque_size(4 * MB));
    CHECK_EQ(fake.requests, before + 4, "aligned");
    pym_alloc_free(aligned);
    pym_alloc_free(zeroed);
    pym_alloc_free(block);
    pym_alloc_free(small);
}

static const struct tap_case cases[] = {
    {"programs that use blocks up get huge pages",
     programs_that_use_blocks_up_get_them},
    {"programs that leave one untouched do not",
     programs_that_leave_one_untouched_do_not},
    {"a block may be filled late", a_block_may_be_filled_late},
    {"blocks that are gone tell nothing", blocks_that_are_gone_tell_nothing},
    {"what grows is used up", what_grows_is_used_up},
    {"few questions are asked", few_questions_are_asked},
    {"blocks are had in cheap pages", blocks_are_had_in_cheap_pages},
    {"the option turns it off", the_option_turns_it_off},
    {"malloc comes by", malloc_comes_by},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
