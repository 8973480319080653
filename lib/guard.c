#include "guard.h"

#include "lock.h"
#include "options.h"
#include "os.h"
#include "print.h"
#include "trace.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    SLOTS = 1024,
    SLOT_SHIFT = 17,
    SLOT_SIZE = 1 << SLOT_SHIFT,
    BLOCK_MOST = 1 << 16,
    FRONT = 16, /* bytes in front of a block, at least */
    PATTERN = 0xa7,
};

enum state { EMPTY, LIVE, FREED };

/* A slot's last page is never accessible: what ends there ends before it. */
static struct slot {
    uintptr_t block;
    size_t size;
    enum state state;
    struct pym_trace allocated;
    struct pym_trace freed;
} * slots;

uintptr_t pym_guard_base;
size_t pym_guard_size;

static struct pym_lock lock = PYM_LOCK_INIT(PYM_RANK_GUARD);
static unsigned cursor; /* the slot that was used last: the oldest are used first */
static unsigned live;
static struct sigaction previous;

/* ---- slots ---- */

static struct slot *slot_of(uintptr_t address)
{
    return &slots[(address - pym_guard_base) >> SLOT_SHIFT];
}

/* The end of what may be accessible in a block's slot. */
static uintptr_t end_of(uintptr_t address)
{
    size_t index = (address - pym_guard_base) >> SLOT_SHIFT;
    return pym_guard_base + ((index + 1) << SLOT_SHIFT) - pym_os_page_size();
}

static uintptr_t first_page(const struct slot *slot)
{
    return (slot->block - FRONT) & ~(uintptr_t)(pym_os_page_size() - 1);
}

static struct slot *find_room(void)
{
    if (live == SLOTS) {
        return NULL;
    }
    do {
        cursor = (cursor + 1) % SLOTS;
    } while (slots[cursor].state == LIVE);
    return &slots[cursor];
}

static bool occupy(struct slot *slot, size_t size)
{
    uintptr_t end = end_of(pym_guard_base + ((uintptr_t)(slot - slots) << SLOT_SHIFT));
    slot->block = end - pym_round_up(size, PYM_GRAIN);
    slot->size = size;
    if (pym_os_commit((void *)first_page(slot), end - first_page(slot)) != 0) {
        return false;
    }
    slot->state = LIVE;
    live++;
    return true;
}

/* The word in front of a block is no size.  It may have been written to after the
 * place's last block was freed, if that was let pass. */
static void mark_edges(const struct slot *slot)
{
    char *block = (char *)slot->block;
    size_t slack = end_of(slot->block) - slot->block - slot->size;
    memset((void *)first_page(slot), PATTERN, slot->block - FRONT - first_page(slot));
    memset(block - FRONT, 0, FRONT);
    memset(block + slot->size, PATTERN, slack);
}

void *pym_guard_allocate(size_t size)
{
    if (size > BLOCK_MOST || pym_guard_size == 0) {
        return NULL;
    }
    struct pym_trace trace;
    pym_trace_take(&trace);
    pym_lock(&lock);
    struct slot *slot = find_room();
    void *block = NULL;
    if (slot != NULL && occupy(slot, size)) {
        slot->allocated = trace;
        mark_edges(slot);
        block = (void *)slot->block;
    }
    pym_unlock(&lock);
    return block;
}

/* ---- errors ---- */

static void print_trace(const char *what, const struct pym_trace *trace)
{
    pym_print(STDERR_FILENO, "pymalloc: guard: %s by thread %d:\n", what,
              trace->thread);
    pym_trace_print(STDERR_FILENO, trace);
}

/* What is wrong, in the words of pym_check_describe as far as they go. */
static void describe(const char *what, const struct slot *slot, uintptr_t address)
{
    struct pym_trace here;
    pym_trace_take(&here);
    pym_print(STDERR_FILENO,
              "pymalloc: guard: %s: block %p, size %zu, thread %d; the address is %p\n",
              what, (void *)slot->block, slot->size, here.thread, (void *)address);
    print_trace("found", &here);
    print_trace("allocated", &slot->allocated);
    if (slot->state == FREED) {
        print_trace("freed", &slot->freed);
    }
}

static void complain(const char *what, const struct slot *slot, uintptr_t address)
{
    describe(what, slot, address);
    if (PYM_OPTION(abort) != 0) {
        abort();
    }
}

static bool is_pattern(uintptr_t from, uintptr_t to)
{
    for (; from < to; from++) {
        if (*(const unsigned char *)from != PATTERN) {
            return false;
        }
    }
    return true;
}

static void check_edges(const struct slot *slot)
{
    if (!is_pattern(first_page(slot), slot->block - FRONT)) {
        complain("write before the start of a block", slot, slot->block - FRONT - 1);
    }
    uintptr_t end = slot->block + slot->size;
    if (!is_pattern(end, end_of(slot->block))) {
        complain("write past the end of a block", slot, end);
    }
}

/* The slot of a live block; else NULL, and a complaint. */
static struct slot *find_live(const void *block, const char *if_freed,
                              const char *if_inside)
{
    struct slot *slot = slot_of((uintptr_t)block);
    if (slot->state == LIVE && slot->block == (uintptr_t)block) {
        return slot;
    }
    complain(slot->state == FREED ? if_freed : if_inside, slot, (uintptr_t)block);
    return NULL;
}

void pym_guard_free(void *block)
{
    struct slot *slot =
        find_live(block, "double free", "free of a pointer into a block");
    if (slot == NULL) {
        return;
    }
    check_edges(slot);
    struct pym_trace trace;
    pym_trace_take(&trace);
    pym_lock(&lock);
    slot->freed = trace;
    slot->state = FREED;
    live--;
    (void)pym_os_decommit((void *)first_page(slot),
                          end_of(slot->block) - first_page(slot));
    pym_unlock(&lock);
}

size_t pym_guard_usable_size(const void *block)
{
    struct slot *slot =
        find_live(block, "use of a freed block", "use of a pointer into a block");
    return slot != NULL ? slot->size : 0;
}

/* ---- accesses ---- */

enum access { ACCESS, READ, WRITE };

static enum access access_of(const ucontext_t *context)
{
#ifdef __x86_64__
    enum { WAS_WRITE = 2 };
    return (context->uc_mcontext.gregs[REG_ERR] & WAS_WRITE) != 0 ? WRITE : READ;
#else
    (void)context;
    return ACCESS;
#endif
}

static const char *name_error(const struct slot *slot, uintptr_t address,
                              enum access access)
{
    static const char *const after_free[] = {"use after free", "read after free",
                                             "write after free"};
    static const char *const past_end[] = {"access past the end of a block",
                                           "read past the end of a block",
                                           "write past the end of a block"};
    static const char *const before[] = {"access before the start of a block",
                                         "read before the start of a block",
                                         "write before the start of a block"};
    if (address >= slot->block + slot->size) {
        return past_end[access];
    }
    if (address < slot->block - FRONT) {
        return before[access];
    }
    /* free itself reads the word in front of a block. */
    if (address == slot->block - sizeof(size_t) && access != WRITE) {
        return "double free";
    }
    return after_free[access];
}

/* The slot whose block an address is nearest to. */
static struct slot *nearest(uintptr_t address)
{
    struct slot *slot = slot_of(address);
    uintptr_t begin = end_of(address) + pym_os_page_size() - SLOT_SIZE;
    bool is_low = address - begin < SLOT_SIZE / 4;
    return is_low && slot > slots ? slot - 1 : slot;
}

/* By kill or raise: there is no address. */
static bool is_sent(const siginfo_t *info)
{
    return info->si_code <= 0;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != NULL) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else if (!is_sent(info)) {
        (void)sigaction(number, &previous, NULL); /* it happens again, and counts */
    } else if (previous.sa_handler == SIG_DFL) {
        (void)sigaction(number, &previous, NULL);
        (void)raise(number);
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    if (is_sent(info) || !pym_guard_owns((const void *)address)) {
        pass_on(number, info, context);
        return;
    }
    struct slot *slot = nearest(address);
    describe(name_error(slot, address, access_of(context)), slot, address);
    if (PYM_OPTION(abort) != 0) {
        pass_on(number, info, context);
        return;
    }
    uintptr_t page = address & ~(uintptr_t)(pym_os_page_size() - 1);
    (void)pym_os_commit((void *)page, pym_os_page_size());
}

/* ---- the start ---- */

static void watch_faults(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGSEGV, &action, &previous);
}

void pym_guard_init(void)
{
    slots = pym_os_map(SLOTS * sizeof(*slots));
    void *base = pym_os_reserve((size_t)SLOTS * SLOT_SIZE, SLOT_SIZE);
    if (slots == NULL || base == NULL) {
        return;
    }
    pym_trace_init();
    watch_faults();
    pym_guard_base = (uintptr_t)base;
    pym_guard_size = (size_t)SLOTS * SLOT_SIZE;
}

void pym_guard_after_fork(void)
{
    if (!pym_lock_reset(&lock) || slots == NULL) {
        return;
    }
    live = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        live += slots[i].state == LIVE;
    }
}
